/** The scheme, then what is before the path: the host, perhaps with a user name; then the path and the query. A fragment is never sent. */
const PARTS = /^(https?:\/\/)([^/?#\\]+)([^?#]*)(?:\?([^#]*))?/i;

/** A parameter of a query with an ordinary name. Anything else may be the secret itself, as in `?5up3rs3cret`. */
const NAMED = /^([\w.$[\]-]{1,40})=./;

const MASK = '…';

/**
 * A webhook URL as people may see it: the origin, and of the rest only the names of the query's parameters, as in
 * `https://hooks.example.com/…?token=…`. Anybody who has a URL's path can often send to it, so the path is a secret like a token. There is
 * no hash to tell two URLs of a host apart: it would confirm a guess, and jobs have names. The result is still a URL, never longer than the
 * original, and masking it again changes nothing.
 */
export function shownUrl(url: string): string {
  const [, scheme, authority, path, query] = PARTS.exec(url) ?? [];
  if (scheme === undefined || authority === undefined) return MASK;
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const masked = path === undefined || path === '' || path === '/' ? (path ?? '') : `/${MASK}`;
  return `${scheme}${host}${masked}${query === undefined ? '' : `?${query.split('&').map(shownParameter).join('&')}`}`;
}

/** Free text of people as it may be kept: each URL in it is masked. The result is never longer. */
export function shownText(text: string): string {
  return text.replaceAll(/[a-z][\w+.-]*:\/\/[^\s"'<>]+/gi, (url) => shownUrl(url));
}

function shownParameter(parameter: string): string {
  if (parameter === '') return '';
  const [, name] = NAMED.exec(parameter) ?? [];
  return name === undefined ? MASK : `${name}=${MASK}`;
}
