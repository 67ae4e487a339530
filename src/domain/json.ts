import { parse, type ParseOptions, stringify } from 'lossless-json';
import type { Json } from '../contract/trigger.ts';
import { hasLongNumber } from './json-scan.ts';

const LONG_RUN = /\d{16}/; // Cheaper to look for than the next, and seldom there.
// Sixteen digits in a row where a number can be, or in a string after such a character.
const LONG_INTEGER = /(?:^|[:[,\s])-?\d{16}/;

/**
 * Reads JSON without losing digits: an integer that a double cannot hold becomes a BigInt. Throws SyntaxError. Ten times slower than
 * JSON.parse, which is therefore used where the text has no run of digits long enough to matter.
 */
export function parseJson(text: string): Json {
  const isLossy = LONG_RUN.test(text) && LONG_INTEGER.test(text) && hasLongNumber(text);
  // The faster parser finds out what is not JSON.
  const fast: unknown = JSON.parse(text);
  const value = isLossy ? parse(text, undefined, LOSSLESS) : fast;
  return value as Json; // Both parsers make nothing but the values that Json names.
}

/** The same with each number as the text that it is written as: `1e3` is not 1000 then, nor `1.0` 1. Throws SyntaxError. */
export function parseJsonAsWritten(text: string): Json {
  return parse(text, undefined, { ...LOSSLESS, parseNumber: (written) => written }) as Json; // Its numbers are strings.
}

/**
 * The line and column, from 1, at which a text stops being JSON. Reported instead of the parser's message, which quotes the text: it may be
 * a secret or somebody's profile.
 */
export function jsonMistake(text: string): { readonly line: number; readonly character: number } {
  const before = text.slice(0, placeOfMistake(text));
  return { line: before.split('\n').length, character: before.length - before.lastIndexOf('\n') };
}

/** The place of the character, from 0, at which a text stops being JSON. */
export function placeOfMistake(text: string): number {
  try {
    parse(text);
  } catch (error) {
    // This parser gives the place in each of its messages, and only there; JSON.parse does not give it always.
    const [position] = error instanceof Error ? (/(?<= at position )\d+$/.exec(error.message) ?? []) : [];
    if (position !== undefined) return Number(position);
  }
  return 0;
}

/** Writes what `parseJson` reads, digit for digit. Accepts any value that is made of JSON values; properties that are undefined are left out. */
export function stringifyJson(value: Json | object): string {
  // Most values are of these types, which cannot contain a BigInt.
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  try {
    return JSON.stringify(value);
  } catch {
    // JSON.stringify refuses BigInt, and nothing else that a Json can hold.
    return stringify(value) ?? 'null';
  }
}

/** Throws RangeError if a number is too large for a double, such as 1e400: JSON would turn it into null. */
export function refuseNoNumber(value: unknown): void {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(NO_NUMBER);
  if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) refuseNoNumber(one);
}

/** Why such a number cannot be written. */
export const NO_NUMBER = 'a number is too large to be written';

// If a key is repeated, its last value counts, as with JSON.parse.
const LOSSLESS: ParseOptions = { parseNumber, onDuplicateKey: ({ newValue }) => newValue };

function parseNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isInteger(number) && !Number.isSafeInteger(number) && /^-?\d+$/.test(text) ? BigInt(text) : number;
}

/** Whether a value is an object with keys, like a JSON object: not an array, not null. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Characters that are written unescaped in a JSON string, one byte each.
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** Bytes of a text as a JSON string, its quotes included. */
export function jsonStringBytes(text: string): number {
  return PLAIN.test(text) ? text.length + 2 : utf8Bytes(JSON.stringify(text));
}

/** Bytes of a value as JSON. */
export function jsonBytes(value: Json | object): number {
  return utf8Bytes(stringifyJson(value));
}

/** Bytes of a text in UTF-8. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // A surrogate pair is two units and four bytes: two a unit.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}

/** An object without its fields that are undefined. */
export function definedOf<T extends object>(of: T): Defined<T> {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as Defined<T>;
}
type Defined<T> = {
  [Field in keyof T as undefined extends T[Field] ? Field : never]?: Exclude<T[Field], undefined>;
} & { [Field in keyof T as undefined extends T[Field] ? never : Field]: T[Field] };
