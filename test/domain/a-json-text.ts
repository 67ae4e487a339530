import fc from 'fast-check';
import { anyText } from '../support/properties.ts';

/** Keys that parsers stumble over, those of Object.prototype and integer-like ones among them. */
export const jsonKey = fc.oneof(
  anyText(),
  fc.string(),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '10',
    '2',
    '',
    'segment_events',
    '_audience',
  ),
);

/** JSON text with everything that parsers stumble over: long integers, keys of Object.prototype, lone surrogates. */
export const jsonText: fc.Arbitrary<string> = textWith(
  fc.constant(''),
  anyText().map((text) => JSON.stringify(text)),
);

const SPACES = fc.constantFrom('', '', '', ' ', '\n\t', '\r ');

/** The same in many spellings: spaces, escapes where none are needed, upper case, exponents, keys that are repeated. */
export const speltText: fc.Arbitrary<string> = textWith(
  SPACES,
  fc.oneof(
    anyText().map((text) => JSON.stringify(text)),
    anyText().map((text) => `"${text.replaceAll(/[^]/g, escaped)}"`),
    fc.constantFrom(String.raw`"\/\b\f\n\r\t\"\\"`, '"\u2028"', '"\u007f"'),
  ),
);

/** The text of an object, its members as they come. */
export function objectText(
  members: readonly (readonly [key: string, json: string])[],
  spell: (key: string) => string = (key) => JSON.stringify(key),
): string {
  return `{${members.map(([key, json]) => `${spell(key)}:${json}`).join(',')}}`;
}

function textWith(spaces: fc.Arbitrary<string>, string: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const spaced = (value: fc.Arbitrary<string>) =>
    fc.tuple(spaces, value, spaces).map(([before, text, after]) => `${before}${text}${after}`);
  return fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('null', 'true', 'false'),
      fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String),
      fc
        .double({ noNaN: true, noDefaultInfinity: true })
        .filter((value) => !Object.is(value, -0))
        .map((value) => JSON.stringify(value)),
      string,
      fc.array(spaced(tie('value'))).map((items) => `[${items.join(',')}]`),
      fc
        .uniqueArray(fc.tuple(spaced(jsonKey.map((key) => JSON.stringify(key))), spaced(tie('value'))), {
          selector: ([name]) => name,
        })
        .map((members) => objectText(members, (key) => key)),
    ),
  })).value;
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
