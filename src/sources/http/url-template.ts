/**
 * A path with its placeholders filled in, each character of a value that means something in a URL encoded. A query parameter that is `{cursor}` and nothing
 * else is left out when there is no cursor: some services refuse an empty one.
 *
 * @param values by name; the configuration holds no other placeholder.
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
