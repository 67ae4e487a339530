/** `crm.people` as `"crm"."people"`. */
export function quotedTable(name: string): string {
  const parts = name.match(/"(?:[^"]|"")+"|[^."]+/g) ?? [name];
  return parts.map((part) => (part.startsWith('"') ? part : quoted(part))).join('.');
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
