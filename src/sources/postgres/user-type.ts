/** The type by which people's ids are compared in a database, which says which ids it can hold. */
export interface UserType {
  /** Whether a value of this type is written exactly like this. Other ids belong to nobody, and would make a query fail. */
  holds(user: string): boolean;
}

const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/;
const DECIMAL = /^-?(?:0|[1-9]\d{0,999})(?:\.\d{1,999})?$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const TYPES: ReadonlyMap<string, UserType> = new Map([
  ['smallint', { holds: (user) => isWithin(user, 2n ** 15n) }],
  ['integer', { holds: (user) => isWithin(user, 2n ** 31n) }],
  ['bigint', { holds: (user) => isWithin(user, 2n ** 63n) }],
  ['numeric', { holds: (user) => DECIMAL.test(user) }],
  ['uuid', { holds: (user) => UUID.test(user) }],
  ...['text', 'character varying', 'character', 'citext'].map((name) => [name, { holds: isText }] as const),
]);

/** @param name as PostgreSQL writes it; undefined for a type that ids cannot have. */
export function userTypeOf(name: string): UserType | undefined {
  return TYPES.get(name);
}

function isWithin(user: string, bound: bigint): boolean {
  if (!INTEGER.test(user)) return false;
  const value = BigInt(user);
  return value >= -bound && value < bound;
}

/** UTF-8 has no lone surrogates, and PostgreSQL no NUL. */
function isText(user: string): boolean {
  return user.isWellFormed() && !user.includes('\0');
}
