import type { LastFailure } from '../../../contract/job-status.ts';
import { instantOf } from '../../instant.ts';
import { spread } from '../../retry.ts';
import { shownCount } from '../../text.ts';
import { ROW_LIMITS, VERDICTS, failureInWords, judge } from '../../verdict.ts';
import type { Verdict } from '../../../contract/verdict.ts';

/** If half of this many last first attempts failed, it opens as after a row of failures (`ROW_LIMITS`). */
const WINDOW = 20;
/** After this many different people in a row were not accepted, one a second is sent: the endpoint may accept nobody any more. */
const DOUBTFUL = 60;
const DOUBT_WAIT_MS = 1_000;
/** After this many, it opens. */
const HOPELESS = 2 * DOUBTFUL;
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 10 * 60_000;

export interface CarriedBreaker {
  /** People whose first attempts failed since the last success. */
  readonly failed: readonly string[];
  /** Short hashes of all people whose attempts failed or were refused since then. */
  readonly refused: readonly string[];
  /** Recent first attempts, fading: successes and failures, together at most `WINDOW`. */
  readonly successes: number;
  readonly failures: number;
  /** Times in a row that it opened without a success between; 0 = closed. */
  readonly openings: number;
  /** Epoch ms of the next probe; set while it is open, or while nothing can be sent to a new endpoint. */
  readonly openUntil: number;
  /**
   * Epoch ms from which a person who has never failed may be a probe. Earlier than `openUntil` if only people who had failed before were
   * tried since it opened.
   */
  readonly freshFrom?: number;
  /** Epoch ms of the last success; absent: none. */
  readonly acceptedAt?: number;
  /** True when only a person can fix it. */
  readonly isSetup: boolean;
  /** Permits that may be used after a recovery; 0 = all. */
  readonly allowed: number;
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
};

/** The evidence of one slice about its endpoint. */
interface SliceEvidence {
  readonly delivered: number;
  readonly failures: readonly {
    readonly user: string;
    readonly verdict: Verdict;
    /** It had failed before, so the trigger itself may be at fault. */
    readonly isAgain?: boolean;
    /** It was a dead letter: another refusal shows nothing. */
    readonly isRedelivered?: boolean;
  }[];
}

/** For an endpoint that has accepted nothing yet: one request at a time until its first 2xx, so that a wrong URL is not flooded. */
export const UNPROVEN: CarriedBreaker = { ...CLOSED, isUnproven: true };

/**
 * The job-wide stop while its endpoint is unhealthy. It opens when the endpoint fails as a whole, then lets one trigger probe it, after a
 * wait that doubles. After a success it lets the permits grow back: 1, 2, 4 …
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

  /** When a person who has never failed may probe, while it is open. */
  get freshFrom(): number {
    return Math.min(this.#now.freshFrom ?? Infinity, this.#now.openUntil);
  }

  /** No slice is dispatched before this time; epoch ms, in the past when one may be dispatched now. */
  get barredUntil(): number {
    return this.isOpen || this.isCautious ? this.#now.openUntil : 0;
  }

  /** Whether one request at a time is sent: it has yet to accept its first, or accepts nobody lately. */
  get isCautious(): boolean {
    return this.isUnproven || this.isDoubtful;
  }

  get isDoubtful(): boolean {
    return this.inRow >= DOUBTFUL;
  }

  /** How many different people the endpoint did not accept since it last accepted somebody, counted up to the number that opens the breaker. */
  get inRow(): number {
    return this.#now.refused.length;
  }

  /** When it last accepted somebody, epoch ms; undefined: never, since its URL or authorization last changed. */
  get acceptedAt(): number | undefined {
    return this.#now.acceptedAt;
  }

  /** How many of these permits may be used now. */
  allowedOf(permits: number): number {
    if (this.isOpen || this.isCautious) return Math.min(1, permits);
    return this.#now.allowed === 0 ? permits : Math.min(permits, this.#now.allowed);
  }

  /** The same endpoint, its failures forgotten. */
  anew(): Breaker {
    const { isUnproven, acceptedAt } = this.#now;
    if (isUnproven === true) return new Breaker(UNPROVEN);
    return new Breaker(acceptedAt === undefined ? undefined : { ...CLOSED, acceptedAt });
  }

  /** The same breaker, but the next probe may go at this time at the latest; epoch ms. */
  probingFrom(now: number): Breaker {
    return new Breaker(this.#now.openUntil <= now ? this.#now : { ...this.#now, openUntil: now });
  }

  /** Takes in the evidence of a slice. `chance` spreads the wait if it opens. */
  learn({ delivered, failures }: SliceEvidence, permits: number, now: number, chance: number): void {
    const unhealthy = failures.filter(({ verdict }) => VERDICTS[verdict].row === 'failed');
    const refused = failures.filter(
      ({ verdict, isRedelivered }) => VERDICTS[verdict].row === 'refused' && isRedelivered !== true,
    );
    const isFresh = [...unhealthy, ...refused].some(({ isAgain }) => isAgain !== true);
    const first = unhealthy.filter(({ isAgain }) => isAgain !== true);
    if (delivered > 0) this.#succeeded(permits, now);
    this.#count(delivered, first.length);
    // The order within a slice is not known: when there were successes, only the share of failures means anything.
    if (delivered === 0) this.#lengthenRow(first, [...unhealthy, ...refused]);
    const isRow = this.#now.failed.length >= ROW_LIMITS.failed || this.inRow >= HOPELESS;
    const isHalf = this.#now.successes + this.#now.failures > WINDOW - 1 && this.#now.failures >= WINDOW / 2;
    // With one request at a time, trying each person while nothing can be sent for anybody would cost thousands of slices.
    const isOfEverybody = failures.some(({ verdict }) => VERDICTS[verdict].isOfEverybody);
    // While it is open, a failed probe opens it again; late results of slices that were dispatched before say nothing new.
    const dueAt = isFresh ? this.freshFrom : this.#now.openUntil;
    const probeFailed = this.isOpen && unhealthy.length + refused.length > 0 && now >= dueAt;
    if (probeFailed || (!this.isOpen && (isRow || isHalf))) this.#open(unhealthy, isFresh, now, chance);
    // A probe that never reached the endpoint (for lack of a profile, say) shows nothing, so the next one waits too.
    else if (this.isOpen ? now >= this.freshFrom : this.isUnproven && isOfEverybody)
      this.#now = {
        ...this.#now,
        openUntil: Math.max(this.#now.openUntil, now + FIRST_WAIT_MS),
        freshFrom: now + FIRST_WAIT_MS,
      };
    else if (!this.isOpen && this.isDoubtful) this.#now = { ...this.#now, openUntil: now + DOUBT_WAIT_MS };
  }

  carry(): CarriedBreaker | undefined {
    return this.#now === CLOSED ? undefined : this.#now;
  }

  #succeeded(permits: number, now: number): void {
    const { openings, allowed, freshFrom: _, ...rest } = this.#now;
    const grown = openings > 0 || this.isDoubtful ? 1 : allowed * 2;
    this.#now = {
      ...rest,
      acceptedAt: now,
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

  #lengthenRow(first: SliceEvidence['failures'], all: SliceEvidence['failures']): void {
    const add = (row: readonly string[], more: readonly string[], most: number) =>
      [...new Set([...row, ...more])].slice(0, most);
    this.#now = {
      ...this.#now,
      failed: add(
        this.#now.failed,
        first.map(({ user }) => user),
        ROW_LIMITS.failed,
      ),
      refused: add(
        this.#now.refused,
        all.map(({ user }) => hashOf(user).toString(36)),
        HOPELESS,
      ),
    };
  }

  /** @param isFresh whether a person failed who had never failed before; otherwise such a person may probe at once. */
  #open(unhealthy: SliceEvidence['failures'], isFresh: boolean, now: number, chance: number): void {
    const openings = this.#now.openings + 1;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (openings - 1), LONGEST_WAIT_MS);
    const openUntil = now + spread(waitMs, chance);
    this.#now = {
      ...this.#now,
      openings,
      openUntil,
      freshFrom: isFresh ? openUntil : (this.#now.freshFrom ?? now),
      // If everybody is refused, the configuration is wrong, too.
      isSetup: unhealthy.every(({ verdict }) => VERDICTS[verdict].isSetup),
      allowed: 0,
    };
  }
}

/**
 * Says how an endpoint refuses a job's people, in words and numbers; undefined while it is not known to do so. Its times are absolute: a job at rest
 * goes on saying what it said at its last task.
 */
export function refusalInWords(
  breaker: Pick<Breaker, 'isOpen' | 'isDoubtful' | 'isUnproven' | 'inRow' | 'acceptedAt'>,
  lastFailure: LastFailure | undefined,
  authorization: string | null,
): string | undefined {
  const { isOpen, isDoubtful, isUnproven, inRow, acceptedAt } = breaker;
  const { status } = lastFailure ?? {};
  if (lastFailure === undefined || status === undefined || !(isOpen || isDoubtful)) return undefined;
  if (!isDoubtful && acceptedAt === undefined) return undefined;
  if (!ABOUT_PEOPLE.has(judge(lastFailure))) return undefined;
  const accepted =
    acceptedAt === undefined
      ? 'it has accepted nobody since its URL or authorization last changed'
      : `it last accepted somebody at ${instantOf(acceptedAt).slice(0, 19)}Z`;
  const isKept = isOpen || isUnproven;
  const next = isKept ? 'every trigger is kept' : 'one a second is sent, and what is refused becomes a dead letter';
  const check = whatToCheck(lastFailure, authorization);
  const text = `All of the last ${shownCount(inRow)} people were refused (${failureInWords(lastFailure)}); ${accepted}. ${check}; ${next}.`;
  // A wrong secret says nothing about the people.
  if (status === 401) return text;
  return `${text} If they are right, edit the job's "answers": ${status}=dead-letter makes dead letters of such triggers.`;
}

/** Says where a person looks for the mistake: after a 401, at the secret of the job's authorization first. */
export function whatToCheck(failure: LastFailure | undefined, authorization: string | null): string {
  if (failure?.status !== 401) return 'Check the webhook URL, the authorization and the templates';
  const secret = authorization === null ? 'the job has none' : `the secret of "${authorization}"`;
  return `First check the authorization: ${secret}. Then check the webhook URL`;
}

/** Answers that may be about the people alone. */
const ABOUT_PEOPLE: ReadonlySet<Verdict> = new Set(['refused', 'misconfigured']);

/** Taken out, since the sandbox takes longer to look up a global, such as `Math`, than to hash ten letters. */
const { imul } = Math;

/** FNV-1a over UTF-16 units, mixed as MurmurHash3 ends: SHA-256 would take longer than all other decisions about a trigger. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = imul(hash ^ text.charCodeAt(i), 0x01000193);
  let bits = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  bits = imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
