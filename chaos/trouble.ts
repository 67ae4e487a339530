import { createHash } from 'node:crypto';
import { Dice } from '../demo/dice.ts';
import type { Answer } from '../src/features/local/receiver.ts';

export interface TroubleOptions {
  /** The same seed gives the same delivery the same troubles. */
  readonly seed: number;
  /** Most failed attempts of one delivery, outages of the endpoint included. A third one would wait for minutes: 2 is the most that makes sense. */
  readonly mostFailures: number;
  /** Longest time an answer takes, in ms. */
  readonly longestAnswerMs: number;
}

/** Share of deliveries that meet trouble in their first attempts. */
const TROUBLED = 0.02;
/** Share of deliveries at which the endpoint asks for a pause. Rare: it stops the whole job for a second. */
const THROTTLED = 0.0004;
/** Share of deliveries that are refused in a batch, and accepted alone. */
const SHY = 0.01;
/** How often which trouble, of so many. A hang keeps a permit until the request's deadline. */
const TROUBLES: readonly (readonly [share: number, answer: Answer])[] = [
  [5, { status: 500, body: 'chaos' }],
  [4, 'reset'],
  [3, { status: 503 }],
  [2, 'half'],
  [1, 'hang'],
];
const THROTTLE: Answer = { status: 429, headers: { 'retry-after': '1' } };

/** A seeded plan of what an endpoint answers: mostly 200, after a moment. */
export class Trouble {
  /** The endpoint is set to an earlier state: what it had accepted meets new trouble when it comes again. */
  isBackAgain = false;
  readonly #seed: number;
  readonly #mostFailures: number;
  readonly #longestAnswerMs: number;
  /** Failed attempts of deliveries that had any, throttled ones not counted. */
  readonly #failures = new Map<string, number>();
  readonly #throttled = new Set<string>();
  #downUntilMs = 0;

  constructor({ seed, mostFailures, longestAnswerMs }: TroubleOptions) {
    this.#seed = seed;
    this.#mostFailures = mostFailures;
    this.#longestAnswerMs = longestAnswerMs;
  }

  /** For so long from now on nearly everything is answered 503. */
  goDown(forMs: number): void {
    this.#downUntilMs = Date.now() + forMs;
  }

  /** What the next attempt of a delivery is answered. */
  answer(delivery: string): Answer {
    const failures = this.#failures.get(delivery) ?? 0;
    const { isThrottled, troubles, delayMs } = this.#planOf(delivery);
    if (isThrottled && !this.#throttled.has(delivery)) {
      this.#throttled.add(delivery);
      return THROTTLE;
    }
    const trouble = Date.now() < this.#downUntilMs ? DOWN : troubles[failures];
    if (trouble === undefined || failures >= this.#mostFailures) return { status: 200, delayMs };
    this.#failures.set(delivery, failures + 1);
    return trouble;
  }

  /** Whether a batch with this delivery is refused, so that it has to be found. */
  isShy(delivery: string): boolean {
    return this.#diceOf(`shy ${delivery}`).chance() < SHY;
  }

  #diceOf(text: string): Dice {
    return new Dice(createHash('sha256').update(`${this.#seed} ${text}`).digest().readInt32LE());
  }

  #planOf(delivery: string) {
    const dice = this.#diceOf(delivery);
    const isThrottled = dice.chance() < THROTTLED;
    const count = dice.chance() < TROUBLED ? dice.between(1, this.#mostFailures) : 0;
    const troubles = Array.from({ length: count }, () => oneTrouble(dice));
    return { isThrottled, troubles, delayMs: dice.between(0, this.#longestAnswerMs) };
  }
}

const DOWN: Answer = { status: 503 };

function oneTrouble(dice: Dice): Answer {
  return dice.oneOf(TROUBLES.flatMap(([share, answer]) => Array<Answer>(share).fill(answer)));
}
