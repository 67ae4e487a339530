import { CaptureTag, CycleTag, EchoTag, Output, type Template, TypeGuards, type Value } from 'liquidjs';
import type { JsonObject } from '../../contract/trigger.ts';
import { isRecord, placeOfMistake } from '../../domain/json.ts';
import { printable } from '../../domain/text.ts';
import { speltAs } from './template-values.ts';

// Checks for templates whose text is JSON.

/** A string of JSON. An unclosed one extends to the end of the text, so each character is read only once. */
const STRING = String.raw`"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)`;
const LEFT_OUT = new RegExp(String.raw`(${STRING})(\s*:\s*\0\s*,?)?|\0\s*,?`, 'gs');
const COMMA_AT_END = new RegExp(String.raw`(${STRING})|,(?=\s*[}\]])`, 'gs');

/**
 * The JSON that a template means. Names whose values are left out are removed. A comma after the last entry of a list or an object is removed, too: a
 * loop or a condition leaves it there. Text that is JSON already stays as it is.
 */
export function jsonFrom(rendered: string): string {
  if (isJson(rendered)) return rendered;
  return rendered
    .replace(LEFT_OUT, (_, string: string | undefined, rest: string | undefined) =>
      rest === undefined ? (string ?? '') : '',
    )
    .replace(COMMA_AT_END, '$1');
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The wrong part of a template, and why it is wrong. */
interface Wrong {
  readonly template: Template;
  readonly why: string;
}

class Found extends Error {
  readonly wrong: Wrong;
  constructor(wrong: Wrong) {
    super();
    this.wrong = wrong;
  }
}

/**
 * The first value in quotes that is wrong: a person could end the quotes, or it writes quotes of its own. Undefined: there is none, as far as that
 * shows.
 */
export function outputInQuotes(templates: readonly Template[]): Wrong | undefined {
  try {
    follow(templates, false);
    return undefined;
  } catch (error) {
    if (error instanceof Found) return error.wrong;
    throw error;
  }
}

/** Whether the following text is in quotes; undefined: that depends on the person. */
type InQuotes = boolean | undefined;

function follow(templates: readonly Template[], before: InQuotes): InQuotes {
  let inQuotes = before;
  for (const one of templates) {
    if (TypeGuards.isHTMLToken(one.token)) {
      const quotes = one.token.getContent().replaceAll(/\\.|[^"]/gs, '').length;
      if (quotes % 2 === 1 && inQuotes !== undefined) inQuotes = !inQuotes;
    } else if (one instanceof Output || one instanceof EchoTag || one instanceof CycleTag) {
      const values = inQuotes === true ? [...(one.arguments() as Iterable<Value>)] : [];
      const why = values.map(whyNotInQuotes).find((reason) => reason !== undefined);
      if (why !== undefined) throw new Found({ template: one, why });
    } else if (one instanceof CaptureTag) follow(one.templates, false);
    else {
      const ends = new Set(waysThrough(one).map((way) => follow(way, inQuotes)));
      inQuotes = ends.size > 1 ? undefined : [...ends][0];
    }
  }
  return inQuotes;
}

/** The templates that a tag may write in its place, possibly none. */
function waysThrough(tag: Template): (readonly Template[])[] {
  const {
    branches = [],
    templates,
    elseTemplates,
  } = tag as {
    readonly branches?: readonly { readonly templates: readonly Template[] }[];
    readonly templates?: readonly Template[];
    readonly elseTemplates?: readonly Template[];
  }; // Tags that contain others have this shape.
  const inBranches = branches.map((branch) => branch.templates);
  return [...inBranches, ...(templates === undefined ? [] : [templates]), elseTemplates ?? []];
}

/** Filters after which no text has a quote or a backslash. */
const SAFE =
  /^(?:url_encode|cgi_escape|uri_escape|slugify|sha256|sha1|md5|base64|base64_encode|size|abs|ceil|divided_by|floor|minus|modulo|plus|round|times)$/;
/** Values that other people wrote: the person, their fields, the default body, the name of the audience. */
const OTHERS = /^(?:id$|(?:\w+\.)?(?:data|body)(?:\.|$)|(?!audience\.|job\.)\w+\.id$|(?:\w+\.)?audience\.name$)/;

/** LiquidJS's name for a filter that it adds itself. */
const ADDED = '[object Function]';

function whyNotInQuotes({ filters = [], initial }: Partial<Value>): string | undefined {
  // LiquidJS may have added a filter, which has no name.
  const last = filters.findLast(({ name }) => name !== ADDED);
  if (last !== undefined && last.name.startsWith('json'))
    return `the filter ${last.name} writes quotes of its own. Leave out those around it.`;
  if (last !== undefined && SAFE.test(last.name)) return undefined;
  const [token] = initial?.postfix ?? [];
  if (token === undefined || !TypeGuards.isPropertyAccessToken(token)) return undefined;
  const names = token.props.map((prop) => ('content' in prop ? String(prop.content) : ''));
  if (!OTHERS.test(names.join('.'))) return undefined;
  return 'a value between quotes could end them, and write fields of its own. Write it with the filter json, without quotes around it.';
}

/** Characters of an excerpt before and after the place. */
const SHOWN_BEFORE = 40;
const SHOWN_AFTER = 20;

/** A part of a text, with a caret below it that points at a place. */
export function excerptOf(text: string, place: number): string {
  const before = printable(text.slice(Math.max(0, place - SHOWN_BEFORE), place));
  return `  ${before}${printable(text.slice(place, place + SHOWN_AFTER))}\n  ${' '.repeat(before.length)}^`;
}

/** The values that each field of a person gets when a template is tried: text, a number, nothing. */
const TRIED = ['x', 1, undefined];
const TIME = '2026-01-01T00:00:00Z';
const AROUND = { now: TIME, job: { label: 'x', subscription_id: '1' } };
const PERSON = { id: '1', audience: { id: '1', slug: 'x', name: 'x' }, at: TIME, delivery_id: '1', attempt: 1 };

/** The text that a template makes for a person, or why it makes none; undefined: it leaves that person out. */
export type Rendered = { readonly text: string } | { readonly failed: string } | undefined;

/**
 * Why a template can never give JSON, for people. Neither a person with all the fields that it names gets JSON, nor a person with none of them.
 * Undefined: it may give JSON for some person.
 *
 * @param named the paths that it names.
 * @param give the result of the template with this scope.
 */
export function neverJson(
  named: readonly (readonly unknown[])[],
  isBatch: boolean,
  give: (scope: object) => Rendered,
): string | undefined {
  const rendered = TRIED.flatMap((value) =>
    (['enter', 'exit'] as const).map((event) => {
      const data = dataOf(named, value) as JsonObject; // It contains texts and numbers.
      const action = event === 'enter' ? 'entered' : 'exited';
      const body = speltAs({ id: PERSON.id, data, meta: {} }, '{}');
      const person = { ...PERSON, event, action, data, body };
      return give(isBatch ? { ...AROUND, items: [person, { ...person }] } : { ...AROUND, ...person });
    }),
  );
  const texts = rendered.flatMap((one) => (one !== undefined && 'text' in one ? [one.text] : []));
  const [first] = texts;
  if (first === undefined) {
    const [failure] = rendered;
    return rendered.every((one) => one !== undefined) && failure !== undefined && 'failed' in failure
      ? failure.failed
      : undefined;
  }
  // An empty text is fine: the template may be about other people.
  if (texts.some((text) => text.trim() === '' || isJson(text))) return undefined;
  return `what it gives can never be valid JSON:\n${excerptOf(first, placeOfMistake(first))}`;
}

/** The data of a person who has this value in each named field. */
function dataOf(named: readonly (readonly unknown[])[], value: unknown): object {
  const data = Object.create(null) as Record<string, unknown>;
  if (value === undefined) return data;
  for (const path of named) {
    const from = path.indexOf('data') + 1;
    const end = path.findIndex((name, place) => place >= from && typeof name !== 'string');
    if (from === 1 || from === 2) put(data, path.slice(from, end === -1 ? undefined : end).map(String), value);
  }
  return data;
}

function put(into: Record<string, unknown>, [name, ...more]: readonly string[], value: unknown): void {
  if (name === undefined) return;
  const known = into[name];
  if (more.length === 0) into[name] ??= value;
  else put((into[name] = isRecord(known) ? known : (Object.create(null) as Record<string, unknown>)), more, value);
}
