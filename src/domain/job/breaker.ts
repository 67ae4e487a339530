import { spread } from '../retry.ts';
import { ROW_LIMITS, type Verdict, VERDICTS } from '../verdict.ts';

/** When half of this many last attempts failed, that opens it as a row of failures does (`ROW_LIMITS`). */
const WINDOW = 20;
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 10 * 60_000;

export interface CarriedBreaker {
  /** People whose attempts failed since the last success. */
  readonly failed: readonly string[];
  readonly refused: readonly string[];
  /** Recent attempts, fading: successes and failures, together at most `WINDOW`. */
  readonly successes: number;
  readonly failures: number;
  /** Times in a row that it opened without a success between; 0 = closed. */
  readonly openings: number;
  /** Epoch ms of the next probe; set while it is open, or while nothing can be sent to a new endpoint. */
  readonly openUntil: number;
  /** True when only a person can correct what is wrong. */
  readonly isSetup: boolean;
  /** Permits that may be used after a recovery; 0 = all. */
  readonly allowed: number;
  readonly probes: number;
  /** True while it is not known whether the endpoint accepts anything. */
  readonly isUnproven?: boolean;
}

const CLOSED: CarriedBreaker = {
  failed: [],
  refused: [],
  successes: 0,
  failures: 0,
  openings: 0,
  openUntil: 0,
  isSetup: false,
  allowed: 0,
  probes: 0,
};

/** What one slice shows about its endpoint. */
interface SliceEvidence {
  readonly delivered: number;
  readonly failures: readonly { readonly user: string; readonly verdict: Verdict }[];
}

/** For an endpoint that has accepted nothing yet: one request at a time until its first 2xx, so that a wrong URL is not flooded. */
export const UNPROVEN: CarriedBreaker = { ...CLOSED, isUnproven: true };

/**
 * The job-wide stop while its endpoint is unwell: opens when the endpoint fails as a whole, then lets one trigger probe it, after a
 * wait that doubles, and after a success lets the permits grow back: 1, 2, 4 …
 */
export class Breaker {
  #now: CarriedBreaker;

  constructor(carried: CarriedBreaker = CLOSED) {
    this.#now = carried;
  }

  get isOpen(): boolean {
    return this.#now.openings > 0;
  }

  /** Whether its permits are still growing back. */
  get isRecovering(): boolean {
    return this.#now.allowed > 0;
  }

  /** Whether it has yet to accept its first request. */
  get isUnproven(): boolean {
    return this.#now.isUnproven === true;
  }

  get isSetup(): boolean {
    return this.#now.isSetup;
  }

  /** When the next probe may go, while it is open. */
  get openUntil(): number {
    return this.#now.openUntil;
  }

  /** No slice is cut before this time; epoch ms, in the past when one may be cut now. */
  get barredUntil(): number {
    return this.isOpen || this.isUnproven ? this.#now.openUntil : 0;
  }

  /** Whether the next probe should be a trigger that has never failed, if there is one: the others may be what is wrong. */
  get probesFresh(): boolean {
    return this.#now.probes % 2 === 1;
  }

  /** How many of these permits may be used now. */
  allowedOf(permits: number): number {
    if (this.isOpen || this.isUnproven) return Math.min(1, permits);
    return this.#now.allowed === 0 ? permits : Math.min(permits, this.#now.allowed);
  }

  /** The same, but the next probe may go at this time, if it was to go later; epoch ms. */
  probingFrom(now: number): Breaker {
    return new Breaker(this.#now.openUntil <= now ? this.#now : { ...this.#now, openUntil: now });
  }

  /** A slice reported. `chance` spreads the wait if it opens. */
  learn({ delivered, failures }: SliceEvidence, permits: number, now: number, chance: number): void {
    const unwell = failures.filter(({ verdict }) => VERDICTS[verdict].row === 'failed');
    const refused = failures.filter(({ verdict }) => VERDICTS[verdict].row === 'refused');
    if (delivered > 0) this.#succeeded(permits);
    this.#count(delivered, unwell.length + refused.length);
    // The order within a slice is not known: when there were successes, only the share of failures means anything.
    if (delivered === 0) this.#lengthenRow(unwell, refused);
    const { failed, refused: refusedRow } = this.#now;
    const isRow = failed.length >= ROW_LIMITS.failed || refusedRow.length >= ROW_LIMITS.refused;
    const isHalf = this.#now.successes + this.#now.failures > WINDOW - 1 && this.#now.failures >= WINDOW / 2;
    // With one request at a time, trying each person although nothing can be sent for anybody would cost thousands of slices.
    const isOfEverybody = failures.some(({ verdict }) => VERDICTS[verdict].isOfEverybody);
    // While it is open, a failed probe opens it again; late results of slices that were cut before say nothing new.
    const probeFailed = this.isOpen && unwell.length + refused.length > 0 && now >= this.#now.openUntil;
    if (probeFailed || (!this.isOpen && (isRow || isHalf))) this.#open(unwell, now, chance);
    // A probe that never reached the endpoint (for lack of a profile, say) shows nothing, so the next one waits too.
    else if (this.isOpen ? now >= this.#now.openUntil : this.isUnproven && isOfEverybody)
      this.#now = { ...this.#now, openUntil: now + FIRST_WAIT_MS };
  }

  carry(): CarriedBreaker | undefined {
    return this.#now === CLOSED ? undefined : this.#now;
  }

  #succeeded(permits: number): void {
    const { openings, allowed } = this.#now;
    const grown = openings > 0 ? 1 : allowed * 2;
    this.#now = {
      ...this.#now,
      failed: [],
      refused: [],
      ...(openings > 0 ? { successes: 0, failures: 0 } : {}),
      openings: 0,
      openUntil: 0,
      isSetup: false,
      isUnproven: false,
      allowed: grown >= permits ? 0 : grown,
    };
  }

  #count(successes: number, failures: number): void {
    const total = this.#now.successes + this.#now.failures + successes + failures;
    const scale = total > WINDOW ? WINDOW / total : 1;
    this.#now = {
      ...this.#now,
      successes: (this.#now.successes + successes) * scale,
      failures: (this.#now.failures + failures) * scale,
    };
  }

  #lengthenRow(unwell: SliceEvidence['failures'], refused: SliceEvidence['failures']): void {
    const add = (row: readonly string[], more: SliceEvidence['failures'], most: number) =>
      [...new Set([...row, ...more.map(({ user }) => user)])].slice(0, most);
    this.#now = {
      ...this.#now,
      failed: add(this.#now.failed, unwell, ROW_LIMITS.failed),
      refused: add(this.#now.refused, refused, ROW_LIMITS.refused),
    };
  }

  #open(unwell: SliceEvidence['failures'], now: number, chance: number): void {
    const openings = this.#now.openings + 1;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (openings - 1), LONGEST_WAIT_MS);
    this.#now = {
      ...this.#now,
      openings,
      openUntil: now + spread(waitMs, chance),
      // When everybody is refused, the set-up is wrong too.
      isSetup: unwell.every(({ verdict }) => VERDICTS[verdict].isSetup),
      allowed: 0,
      probes: this.#now.probes + 1,
    };
  }
}
