// The commit of each release, oldest first. A tag would do, but not every clone has them.

/** @type {Readonly<Record<string, string>>} */
export const RELEASES = {
  '0.1.0': '5e59915fa3669e14a0b33870c83a311f25c8ae58',
  '0.2.0': '563a756d4d2182d28bebda526ba2554e769c955a',
};
