import fc, { type IAsyncProperty, type IProperty } from 'fast-check';

/** `npm run test:all` tries each property ten times as often as `npm test`. */
const TIMES = Number(process.env['PROPERTY_TIMES'] ?? 1);

/** How many tries a test makes that draws its own cases. @param count in `npm test`. */
export function tries(count: number): number {
  return count * TIMES;
}

/**
 * Any text without lone surrogates. `fc.string({ unit: 'binary' })` is the same, but making it costs more than a second of a test file.
 *
 * @param constraints `minLength` and `maxLength`, in code points.
 */
export function anyText(constraints: fc.ArrayConstraints = {}): fc.Arbitrary<string> {
  const point = fc.oneof(fc.nat(0x7f), fc.nat(0xffff), fc.nat(0x10_ffff));
  return fc.array(point, constraints).map((points) => String.fromCodePoint(...points).toWellFormed());
}

const FIXED_SEED = 20_261_129;

/**
 * Asserts that a property holds: half of the runs start from a seed that never changes, half from a new one.
 *
 * @param runs in `npm test`; by default 50.
 */
export function always<T>(property: IProperty<T>, runs?: number): void;
export function always<T>(property: IAsyncProperty<T>, runs?: number): Promise<void>;
export function always<T>(property: IProperty<T> | IAsyncProperty<T>, runs = 50): Promise<void> | undefined {
  const numRuns = Math.ceil((runs * TIMES) / 2);
  const fixed = { numRuns, seed: FIXED_SEED };
  if (isAsync(property)) return fc.assert(property, fixed).then(() => fc.assert(property, { numRuns }));
  fc.assert(property, fixed);
  fc.assert(property, { numRuns });
  return undefined;
}

function isAsync<T>(property: IProperty<T> | IAsyncProperty<T>): property is IAsyncProperty<T> {
  return property.isAsync();
}
