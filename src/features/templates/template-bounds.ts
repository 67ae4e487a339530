import { existsSync, readFileSync } from 'node:fs';
import { Context, type Drop, type Liquid } from 'liquidjs';
import { isRecord } from '../../domain/json.ts';
import { MOST_CHARACTERS, written } from './template-values.ts';

/**
 * Most steps of all the templates of one request together. A step enters a block, renders a text, value or tag of it, or passes an entry of a list
 * through a filter or comparison. A step usually takes 1 to 5 µs, so this allows some 100 ms. It takes effect before the time limits do, so nearly
 * always every machine decides alike.
 */
export const MOST_STEPS = 20_000;
/** Additional steps for each trigger of a batch. */
const MOST_STEPS_OF_ITEM = 100;
/**
 * Most processor time of all the templates of one request, or of the check of one template. The worker does nothing else meanwhile. It ends what
 * takes long in a single step, such as a loop over a person with very many fields.
 */
const MOST_PROCESSOR_MS = 1000;
/** Longest time of one rendering by the clock. A worker may have only a tenth of a core for a while. */
const MOST_MS = 10_000;
/** To ask for the processor time takes as long as a step. */
const LOOK_EVERY_MS = 10;
const TOO_LONG = 'it takes too long';

/** `MOST_MS` have passed. */
export class OutOfTime extends Error {}

/** The steps and processor time of the renderings so far. */
interface Spent {
  steps: number;
  processorMs: number;
}

// Keyed by the scope, which all the templates of a request share.
const spent = new WeakMap<object, Spent>();

function spentFor(scope: object): Spent {
  const found = spent.get(scope);
  if (found !== undefined) return found;
  const nothing = { steps: 0, processorMs: 0 };
  spent.set(scope, nothing);
  return nothing;
}

/** Lets two scopes have the same bounds together. */
export function shareBounds(one: object, other: object): void {
  spent.set(other, spentFor(one));
}

/** Returns a function that lets scopes share the processor time of one request; each has steps of its own. Render one after the other. */
export function sharedTime(): (scope: object) => void {
  const shared: Spent = { steps: 0, processorMs: 0 };
  return (scope) => {
    shared.steps = 0;
    spent.set(scope, shared);
  };
}

/** Its first number is the processor time of this thread, in ns. Most Linux systems have it. */
const THREAD_TIME = '/proc/thread-self/schedstat';

/** The time of this thread, which Node tells only from 23.9 on; else that of all threads of the process. */
const cpuUsage: () => NodeJS.CpuUsage =
  (process as { readonly threadCpuUsage?: () => NodeJS.CpuUsage }).threadCpuUsage ??
  (existsSync(THREAD_TIME)
    ? () => ({ user: Number.parseInt(readFileSync(THREAD_TIME, 'latin1'), 10) / 1000, system: 0 })
    : () => process.cpuUsage());

let looked = { atMs: -Infinity, processorMs: 0 };

/** The processor time so far, as it was at most `LOOK_EVERY_MS` ago. */
function processorMs(nowMs: number): number {
  if (Math.abs(nowMs - looked.atMs) >= LOOK_EVERY_MS) {
    const { user, system } = cpuUsage();
    looked = { atMs: nowMs, processorMs: (user + system) / 1000 };
  }
  return looked.processorMs;
}

/** The steps and time of one rendering. LiquidJS calls `check` before each block, and before each text, value and tag in it. */
export class Bounds {
  steps: number;
  readonly #before: Spent;
  readonly #mostSteps: number;
  readonly #beganAtMs = performance.now();
  readonly #beganProcessorMs = processorMs(this.#beganAtMs);

  /** @param items how many triggers of a batch the scope has */
  constructor(scope: object, items: number) {
    this.#before = spentFor(scope);
    this.steps = this.#before.steps;
    this.#mostSteps = MOST_STEPS + items * MOST_STEPS_OF_ITEM;
  }

  check(nowMs: number): void {
    this.step(1);
    if (this.#processorMs(nowMs) > MOST_PROCESSOR_MS) throw new RangeError(TOO_LONG);
    if (nowMs - this.#beganAtMs > MOST_MS) throw new OutOfTime(TOO_LONG);
  }

  step(count: number): void {
    this.steps += count;
    if (this.steps > this.#mostSteps) throw new RangeError('it repeats too much');
  }

  /** The steps of a rendering that the clock ends do not count: it is done again. */
  spendSteps(): void {
    this.#before.steps = this.steps;
  }

  spendTime(): void {
    this.#before.processorMs = this.#processorMs(performance.now());
  }

  /** The time of this rendering and those before. Other threads may have worked too, but no thread for longer than the clock tells. */
  #processorMs(nowMs: number): number {
    const usedMs = Math.min(processorMs(nowMs) - this.#beganProcessorMs, nowMs - this.#beganAtMs);
    return this.#before.processorMs + usedMs;
  }
}

/** One rendering. */
export class BoundedContext extends Context {
  /** The items of a batch that are left out, with the reason. */
  readonly skipped = new Map<unknown, string>();
  readonly #bounds: Bounds;

  constructor(scope: object, bounds: Bounds, liquid: Liquid) {
    // LiquidJS does not export the class of its limits, and calls only `check` of this one.
    const renderLimit = bounds as unknown as Context['renderLimit'];
    // A copy, since a template can count in a variable of any name.
    super({ ...scope }, liquid.options, { sync: true }, { liquid, renderLimit });
    this.#bounds = bounds;
  }

  step(count: number): void {
    this.#bounds.step(count);
  }

  /** A step that looks at the time, too. */
  look(): void {
    this.#bounds.check(performance.now());
  }

  override readProperty(value: object, name: string | number | Drop): unknown {
    // LiquidJS counts the fields of an object that has none of this name.
    if (name === 'size' && isRecord(value) && !Object.hasOwn(value, name)) return undefined;
    return super.readProperty(value, name) as unknown;
  }
}

/** The text that a rendering writes. */
export class BoundedText {
  buffer = '';

  write(value: unknown): void {
    const text = written(value);
    if (this.buffer.length + text.length > MOST_CHARACTERS) throw new RangeError('it writes too much');
    this.buffer += text;
  }
}
