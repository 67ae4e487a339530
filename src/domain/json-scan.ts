// One pass over JSON text (RFC 8259), to find where things are: a fifth of the time that parsing and rewriting it takes. Every function
// takes the place where something begins and returns the place after it, or NONE when it is not there. Reading past the end of the text
// gives NaN, which never equals an expected character.

/** Where the members of an object are in its text. */
export interface MemberPlaces {
  /** The opening quote of each member's key. */
  readonly starts: readonly number[];
  /** The object's closing brace. */
  readonly end: number;
  /** Whether each key comes after the one before it, by UTF-16 code units. */
  readonly isSorted: boolean;
}

/**
 * Finds the members of the object that is exactly `text` from `from` to `to`. Undefined when that is not valid JSON, and when it is
 * unusual: a key with an escape, more than 100 levels, a lone surrogate, or a number that JavaScript would spell differently (`1.10`,
 * `1e400`).
 */
export function scanMembers(text: string, from: number, to: number): MemberPlaces | undefined {
  if (text.charCodeAt(from) !== OPENING_BRACE || !text.isWellFormed()) return undefined;
  const starts: number[] = [];
  let isSorted = true;
  let at = space(text, from + 1);
  let closing = text.charCodeAt(at) === CLOSING_BRACE;
  while (!closing) {
    const previous = starts.at(-1);
    if (previous !== undefined && isSorted) isSorted = isKeyBefore(text, previous, at);
    starts.push(at);
    at = value(text, colon(text, plainKey(text, at, to)), to, 0);
    if (at === NONE) return undefined;
    at = space(text, at);
    closing = text.charCodeAt(at) === CLOSING_BRACE;
    if (!closing) at = comma(text, at);
  }
  return at + 1 === to ? { starts, end: at, isSorted } : undefined;
}

/**
 * Finds a key that an object in the text has twice; undefined when none has. Readers silently keep the last one, which is seldom what was
 * meant.
 *
 * @param text valid JSON.
 * @param levels how deep objects are looked into; 1: only the outermost.
 */
export function doubledKey(text: string, levels = Infinity): string | undefined {
  // Each level has a place here, and a set once it has a key: the string of an array is never followed by a colon.
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === OPENING_BRACE || unit === OPENING_BRACKET) open.push(undefined);
    else if (unit === CLOSING_BRACE || unit === CLOSING_BRACKET) open.pop();
    if (unit !== QUOTE) continue;
    const end = string(text, at, text.length);
    if (end === NONE) return undefined;
    if (open.length <= levels && text.charCodeAt(space(text, end)) === COLON) {
      const keys = (open[open.length - 1] ??= new Set());
      const key = JSON.parse(text.slice(at, end)) as string; // A string of valid JSON.
      if (keys.has(key)) return key;
      keys.add(key);
    }
    at = end - 1;
  }
  return undefined;
}

/**
 * Most levels and values of what another system sends, as `excessOf` counts them. A profile has 200 levels at most, and a few surround it. A value may
 * take two bytes of the text, and a hundred once it is parsed.
 */
export const MOST_IN_BODY = { levels: 250, values: 250_000 };

/**
 * Which bound a text exceeds, which need not be JSON; undefined: none. Ask this before parsing: a few KB of packed data can hold a million values.
 *
 * @param most.levels in which objects and arrays are nested.
 * @param most.values opening braces, opening brackets and commas: each value has at least one, but for the outermost. Colons are not counted: a member
 *   has its comma.
 */
export function excessOf(
  text: string,
  most: { readonly levels: number; readonly values: number },
): 'levels' | 'values' | undefined {
  let open = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) {
      const end = string(text, at, text.length);
      if (end === NONE) return undefined;
      at = end - 1;
    } else if (unit === COMMA) {
      if (++values > most.values) return 'values';
    } else if (unit === OPENING_BRACE || unit === OPENING_BRACKET) {
      if (++open > most.levels) return 'levels';
      if (++values > most.values) return 'values';
    } else if (unit === CLOSING_BRACE || unit === CLOSING_BRACKET) open -= 1;
  }
  return undefined;
}

/**
 * Whether a run of 16 digits or more is outside of every string: profiles that travel as texts are full of them.
 *
 * @param text for a text that is not valid JSON, the result means nothing.
 */
export function hasLongNumber(text: string): boolean {
  let run = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    run = unit >= 0x30 && unit <= 0x39 ? run + 1 : 0;
    if (run === LONG_DIGITS) return true;
    if (unit !== QUOTE) continue;
    const end = string(text, at, text.length);
    if (end === NONE) return false;
    at = end - 1;
  }
  return false;
}

/** An integer of fewer digits is exact as a double. */
const LONG_DIGITS = 16;
const NONE = -1;
const MAX_DEPTH = 100;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

function value(text: string, at: number, to: number, depth: number): number {
  switch (text.charCodeAt(at)) {
    case QUOTE:
      return string(text, at, to);
    case OPENING_BRACE:
      return depth === MAX_DEPTH ? NONE : object(text, at, to, depth + 1);
    case OPENING_BRACKET:
      return depth === MAX_DEPTH ? NONE : array(text, at, to, depth + 1);
    case 0x74:
      return text.startsWith('true', at) ? at + 4 : NONE;
    case 0x66:
      return text.startsWith('false', at) ? at + 5 : NONE;
    case 0x6e:
      return text.startsWith('null', at) ? at + 4 : NONE;
    default:
      return number(text, at);
  }
}

function object(text: string, from: number, to: number, depth: number): number {
  let at = space(text, from + 1);
  if (text.charCodeAt(at) === CLOSING_BRACE) return at + 1;
  for (;;) {
    at = value(text, colon(text, string(text, at, to)), to, depth);
    if (at === NONE) return NONE;
    at = space(text, at);
    if (text.charCodeAt(at) === CLOSING_BRACE) return at + 1;
    at = comma(text, at);
  }
}

function array(text: string, from: number, to: number, depth: number): number {
  let at = space(text, from + 1);
  if (text.charCodeAt(at) === CLOSING_BRACKET) return at + 1;
  for (;;) {
    at = value(text, at, to, depth);
    if (at === NONE) return NONE;
    at = space(text, at);
    if (text.charCodeAt(at) === CLOSING_BRACKET) return at + 1;
    at = comma(text, at);
  }
}

/** Skips a colon, and the spaces around it. */
function colon(text: string, from: number): number {
  const at = space(text, from);
  return text.charCodeAt(at) === COLON ? space(text, at + 1) : NONE;
}

function comma(text: string, at: number): number {
  return text.charCodeAt(at) === COMMA ? space(text, at + 1) : NONE;
}

function space(text: string, from: number): number {
  for (let at = from; ; at++) {
    const unit = text.charCodeAt(at);
    if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return at;
  }
}

function string(text: string, from: number, to: number): number {
  if (text.charCodeAt(from) !== QUOTE) return NONE;
  for (let at = from + 1; at < to; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) return at + 1;
    if (unit < 0x20) return NONE;
    if (unit === BACKSLASH && !isEscape(text, ++at)) return NONE;
  }
  return NONE;
}

/** A string without escapes, so that it can be compared as it is. */
function plainKey(text: string, from: number, to: number): number {
  if (text.charCodeAt(from) !== QUOTE) return NONE;
  for (let at = from + 1; at < to; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) return at + 1;
    if (unit < 0x20 || unit === BACKSLASH) return NONE;
  }
  return NONE;
}

/** Whether an escape follows, after a backslash. The digits of `\uXXXX` need not be skipped: in a string they are ordinary characters. */
function isEscape(text: string, at: number): boolean {
  const letter = text.charAt(at);
  return letter === 'u' ? HEX.test(text.slice(at + 1, at + 5)) : '"\\/bfnrt'.includes(letter);
}

const HEX = /^[0-9a-fA-F]{4}$/;

/** A number that is spelt as it would be written. In any other, digits would depend on whether it was ever parsed. */
function number(text: string, from: number): number {
  const at = anyNumber(text, from);
  const isWhole =
    digits(text, text.charCodeAt(from) === MINUS ? from + 1 : from) === at && !text.startsWith('-0', from);
  if (at === NONE || isWhole) return at;
  const spelt = text.slice(from, at);
  return String(Number(spelt)) === spelt ? at : NONE;
}

function anyNumber(text: string, from: number): number {
  let at = text.charCodeAt(from) === MINUS ? from + 1 : from;
  at = text.charCodeAt(at) === 0x30 ? at + 1 : digits(text, at);
  if (text.charCodeAt(at) === 0x2e) at = digits(text, at + 1);
  const unit = text.charCodeAt(at);
  if (unit !== 0x65 && unit !== 0x45) return at;
  const sign = text.charCodeAt(at + 1);
  return digits(text, sign === 0x2b || sign === MINUS ? at + 2 : at + 1);
}

/** One digit or more. */
function digits(text: string, from: number): number {
  for (let at = from; ; at++) {
    const unit = text.charCodeAt(at);
    if (!(unit >= 0x30 && unit <= 0x39)) return at === from ? NONE : at;
  }
}

/** Whether the key at one place is smaller than the key at the other. Neither has escapes, so each ends at the next quote. */
function isKeyBefore(text: string, one: number, other: number): boolean {
  for (let i = 1; ; i++) {
    const a = text.charCodeAt(one + i);
    const b = text.charCodeAt(other + i);
    if (a === b && a !== QUOTE) continue;
    return b !== QUOTE && (a === QUOTE || a < b);
  }
}
