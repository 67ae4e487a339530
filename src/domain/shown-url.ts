/** Scheme, then what stands before the path: perhaps a user name, and the host; then the path and the query. Nothing is sent of a fragment. */
const PARTS = /^(https?:\/\/)([^/?#\\]+)([^?#]*)(?:\?([^#]*))?/i;
/** What a query's parameter is commonly called. Anything else may be the secret itself, as in `?5up3rs3cret`. */
const NAMED = /^([\w.$[\]-]{1,40})=./;
const MASK = '…';

/**
 * A webhook URL as people may see it: the origin, and of the rest only the names of the query's parameters, as in
 * `https://hooks.example.com/…?token=…`. Who has a URL's path can often send to it, so it is a secret like a token. No hash tells two URLs of a
 * host apart: it would confirm a guess, and jobs have names. Shown once more, it stays as it is; never longer than it was; still a URL.
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
