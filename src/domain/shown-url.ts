/** The scheme, then what is before the path: the host, perhaps with a user name; then the path and the query. A fragment is never sent. */
const PARTS = /^(https?:\/\/)([^/?#\\]+)([^?#]*)(?:\?([^#]*))?/i;
/** What a query's parameter is commonly called. Anything else may be the secret itself, as in `?5up3rs3cret`. */
const NAMED = /^([\w.$[\]-]{1,40})=./;
const MASK = '…';

/**
 * A webhook URL as people may see it: the origin, and of the rest only the names of the query's parameters, as in
 * `https://hooks.example.com/…?token=…`. Whoever has a URL's path can often send to it, so it is a secret like a token. There is no hash to
 * tell two URLs of a host apart: it would confirm a guess, and jobs have names. The result is still a URL, never longer than the original,
 * and masking it again changes nothing.
 */
export function shownUrl(url: string): string {
  const [, scheme, authority, path, query] = PARTS.exec(url) ?? [];
  if (scheme === undefined || authority === undefined) return MASK;
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const masked = path === undefined || path === '' || path === '/' ? (path ?? '') : `/${MASK}`;
  return `${scheme}${host}${masked}${query === undefined ? '' : `?${query.split('&').map(shownParameter).join('&')}`}`;
}

function shownParameter(parameter: string): string {
  if (parameter === '') return '';
  const [, name] = NAMED.exec(parameter) ?? [];
  return name === undefined ? MASK : `${name}=${MASK}`;
}
