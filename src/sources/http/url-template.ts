/**
 * A path with its placeholders filled in; characters of the values that have a meaning in a URL are encoded. A query parameter that is only
 * `{cursor}` is left out when there is no cursor, because some services refuse an empty one.
 *
 * @param values by name; the configuration allows no other placeholder.
 */
export function filled(template: string, values: Readonly<Record<string, string | readonly string[]>>): string {
  const text = values['cursor'] === '' ? withoutCursor(template) : template;
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    [values[name] ?? []].flat().map(encodeURIComponent).join(','),
  );
}

function withoutCursor(template: string): string {
  return template
    .replaceAll(/([?&])[^?&=]*=\{cursor\}(&|$)/g, (_, before: string, after: string) => (after === '' ? '' : before))
    .replace(/\?$/, '');
}
