import { Output, type Template as LiquidTemplate, TypeGuards, type Value } from 'liquidjs';
import type { JsonObject } from '../../contract/trigger.ts';
import { isRecord, refuseNoNumber, stringifyJson } from '../../domain/json.ts';

// How a template writes a value, depending on where its text goes.

/**
 * Where a template's text goes. `url`: into the path and query of a URL, where each value is encoded. `xml`: each value is escaped. `json`: a value
 * is written by the filter `json`, or contains nothing that could end a string. The filter `raw`, as the last one, turns each of these off.
 */
export type TemplateUse = 'text' | 'url' | 'json' | 'xml';

/** Stands in a URL for an empty value. A segment that lost its value can then be told from one that was written empty. */
export const EMPTY_VALUE = '\0';

/** Most characters that a rendering makes: its text, each capture, and all intermediate results of filters. A body has at most 2 MiB. */
export const MOST_CHARACTERS = 2 * 1024 * 1024;

/** Stands in JSON for a value that is left out with its name. It cannot occur in any other JSON. */
const OMITTED = '\0';

// The text of a default body, by the object that a template gets for it. The body is then written unchanged.
const spelt = new WeakMap<object, string>();

/** An object that is written as this text. */
export function speltAs(value: JsonObject, text: string): JsonObject {
  spelt.set(value, text);
  return value;
}

/** A value as a template writes it. An object is written as JSON. */
export function written(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') refuseNoNumber(value);
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value === undefined || value === null) return '';
  return Array.isArray(value) ? value.map(written).join('') : writtenJson(value);
}

function writtenJson(value: unknown): string {
  const known = isRecord(value) ? spelt.get(value) : undefined;
  if (known !== undefined) return known;
  const text = stringifyJson(value ?? null);
  // A number that JSON cannot write becomes null there.
  if (text.includes('null')) refuseNoNumber(value);
  return text;
}

/** A value as JSON. If there is no value, or only empty or blank text: the mark by which it is left out with its name. */
function jsonOrOmitted(value: unknown): string {
  const isBlank = value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
  return isBlank ? OMITTED : writtenJson(value);
}

export const JSON_FILTERS = new Map([
  ['json', writtenJson],
  ['jsonify', writtenJson],
  ['json_or_omit', jsonOrOmitted],
]);

/** Characters that may end a string of JSON. */
const ENDS_STRING = /["\\\p{Cc}]/u;

/** A value that is written into JSON without the filter `json`. Unchecked, a person could write fields of another system. */
export function inJson(value: unknown): string {
  const text = written(value);
  // An object could end the quotes around it, too. The default body cannot: no person has chosen its first name.
  if (!(isRecord(value) && spelt.has(value)) && ENDS_STRING.test(text))
    throw new TypeError(
      'a value has a quote, a backslash or a control character, and would be no JSON. Write it with the filter json, without quotes around it (or with raw, where it is JSON that the template has made)',
    );
  return text;
}

/** All characters that XML 1.0 cannot contain in any form. */
const NOT_IN_XML = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

export function inXml(value: unknown): string {
  return written(value)
    .replaceAll(NOT_IN_XML, '')
    .replaceAll(/[&<>"']/g, (one) => ENTITIES[one] ?? one);
}

/** Encodes the characters that `encodeURIComponent` leaves and RFC 3986 reserves. */
const percentEncoded = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

export const encoded = (value: unknown): string => {
  const text = written(value);
  return text === '' ? EMPTY_VALUE : encodeURIComponent(text.toWellFormed()).replaceAll(/[!'()*]/g, percentEncoded);
};

/** How a value is written if its last filter is not `raw`; absent: as it is. */
const ESCAPES: Readonly<Partial<Record<TemplateUse, (value: unknown) => string>>> = {
  url: encoded,
  json: inJson,
  xml: inXml,
};

/** A piece of a template: text, or the value at a path. Most templates consist of such pieces only. */
type Piece = string | { readonly path: readonly string[]; readonly write: (value: unknown) => string };

/** Names that LiquidJS gives a meaning of their own. */
export const OWN_MEANING = /^(size|first|last)$/;

/**
 * The pieces of a template that consists of them only; undefined: it contains something else. Joining them takes a tenth of the time of LiquidJS,
 * which must have read the template.
 */
export function piecesOf(parsed: readonly LiquidTemplate[], use: TemplateUse): Piece[] | undefined {
  const pieces = parsed.map((one): Piece | undefined => {
    if (TypeGuards.isHTMLToken(one.token)) return one.token.getContent();
    if (!(one instanceof Output)) return undefined;
    const path = pathOf(one.value);
    const write = writingOf(one.value, use);
    return path === undefined || write === undefined ? undefined : { path, write };
  });
  return pieces.some((piece) => piece === undefined) ? undefined : pieces.filter((piece) => piece !== undefined);
}

/** The names of `data.account.email`; undefined for any other expression. */
function pathOf({ initial: { postfix } }: Value): string[] | undefined {
  const [token, more] = postfix;
  if (more !== undefined || !TypeGuards.isPropertyAccessToken(token) || token.variable !== undefined) return undefined;
  const names = token.props.map((prop) => ('content' in prop && typeof prop.content === 'string' ? prop.content : ''));
  return names.some((name) => name === '' || OWN_MEANING.test(name)) ? undefined : names;
}

/** How a value is written, by no filter or by `json`; undefined for any other. */
function writingOf({ filters }: Value, use: TemplateUse): ((value: unknown) => string) | undefined {
  const escape = ESCAPES[use];
  // LiquidJS adds the filter that escapes, unless the last filter is raw.
  const isEscaped = escape !== undefined && filters.at(-1)?.raw !== true;
  const [filter, more] = isEscaped ? filters.slice(0, -1) : filters;
  if (filter === undefined) return escape ?? written;
  const json = filter.args.length > 0 ? undefined : JSON_FILTERS.get(filter.name);
  if (more !== undefined || json === undefined) return undefined;
  return isEscaped ? (value) => escape(json(value)) : json;
}

/** Longest time for lists, some of which write nothing; LiquidJS has bounds for what takes longer. */
const MOST_MS_OF_LISTS = 10;

/** Joins pieces to the text that LiquidJS would write. Undefined where LiquidJS would object: it reports that itself, with the line. */
export function joined(pieces: readonly Piece[], scope: object): string | undefined {
  let text = '';
  let listsSinceMs: number | undefined;
  try {
    for (const piece of pieces) {
      const value = typeof piece === 'string' ? undefined : valueAt(piece.path, scope);
      if (Array.isArray(value)) {
        listsSinceMs ??= performance.now();
        if (performance.now() - listsSinceMs > MOST_MS_OF_LISTS) return undefined;
      }
      text += typeof piece === 'string' ? piece : piece.write(value);
      if (text.length > MOST_CHARACTERS) return undefined;
    }
    return text;
  } catch {
    return undefined;
  }
}

/** The value at a path, through own properties only. */
function valueAt(path: readonly string[], scope: object): unknown {
  let value: unknown = scope;
  for (const name of path) {
    if (value === undefined || value === null) return value;
    const owner: object = Object(value);
    value = Object.hasOwn(owner, name) ? Reflect.get(owner, name) : undefined;
  }
  return value;
}
