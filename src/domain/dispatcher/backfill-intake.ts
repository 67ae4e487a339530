import type { BackfillCursor, MemberPage } from '../../contract/backfill.ts';
import type { BackfillStatus } from '../../contract/job-status.ts';
import { Meter } from '../meter.ts';
import { BackfillPace } from './backfill-pace.ts';
import type { BackfillCounts, CarriedBackfill } from './carried-backfill.ts';
import { WaitingPages } from './waiting-pages.ts';

/** How many times in a row a page may be read again at once before the child is told to wait for calmer traffic. */
export const READ_AGAIN_AT_ONCE = 3;

/** How a trigger of a backfill left the chains. */
export type Leaving = 'delivered' | 'superseded' | 'discarded' | 'dead';

export type PageReply = 'taken' | 'read-again' | 'ignored';

/** The job's side of one backfill: takes pages in order, once, and hands out their members. */
export class BackfillIntake {
  readonly n: number;
  readonly requestId: string | undefined;
  readonly audiences: readonly string[];
  /** The `at` of all its enters. */
  readonly at: string;
  readonly pace: BackfillPace;
  started: boolean;
  heardAt: number;
  #state: BackfillStatus['state'];
  #nextPage: number;
  #cursor: BackfillCursor;
  #acknowledged: number;
  #lastPageSeen: boolean;
  readonly #pages: WaitingPages;
  #inChains: number;
  readonly #counts: BackfillCounts;
  /** Its deliveries. */
  readonly meter: Meter;
  #expected: number | undefined;
  #readAgain: number;

  constructor(carried: CarriedBackfill) {
    this.n = carried.n;
    this.requestId = carried.requestId;
    this.audiences = carried.audiences;
    this.at = carried.at;
    this.started = carried.started;
    this.heardAt = carried.heardAt;
    this.#state = carried.state;
    this.#nextPage = carried.nextPage;
    this.#cursor = carried.cursor;
    this.#acknowledged = carried.acknowledged;
    this.#lastPageSeen = carried.lastPageSeen;
    this.#pages = new WaitingPages(carried.pages);
    this.#inChains = carried.inChains;
    this.#counts = { ...carried.counts };
    this.meter = new Meter(carried.meter);
    this.#expected = carried.expected;
    this.pace = new BackfillPace(carried.pace);
    this.#readAgain = carried.readAgain;
  }

  static begin(request: {
    n: number;
    requestId?: string;
    audiences: readonly string[];
    at: string;
    now: number;
    /** Pause after this many members. */
    sample?: number;
  }): BackfillIntake {
    const { sample, now } = request;
    return new BackfillIntake({
      n: request.n,
      ...(request.requestId === undefined ? {} : { requestId: request.requestId }),
      audiences: request.audiences,
      at: request.at,
      state: 'running',
      started: false,
      nextPage: 1,
      cursor: { page: 1, audience: 0 },
      acknowledged: 0,
      lastPageSeen: false,
      pages: [],
      inChains: 0,
      counts: { taken: 0, delivered: 0, superseded: 0, dead: 0 },
      meter: new Meter().carry(),
      pace: { granted: 0, since: now, ...(sample === undefined ? {} : { sampleLeft: sample }) },
      heardAt: now,
      readAgain: 0,
    });
  }

  get state(): BackfillStatus['state'] {
    return this.#state;
  }

  /** Members of accepted pages that are not yet in a slice or a chain. */
  get waitingInPages(): number {
    return this.#pages.members;
  }

  /** Whether this person is waiting in a page. */
  waitsInPages(user: string): boolean {
    return this.#pages.has(user);
  }

  /** Whether pages of the backfill with this number are for this one, and it has not ended. */
  isOf(n: number): boolean {
    return n === this.n && this.#isAlive;
  }

  /** Whether more pages are to come. */
  get expectsPages(): boolean {
    return this.#state === 'running' && !this.#lastPageSeen;
  }

  /** Whether members are still to be read or put into a slice. Some that were sent may still be waiting for their next attempt. */
  get isUnderWay(): boolean {
    return this.expectsPages || this.waitingInPages > 0;
  }

  /** Whether its child should be running: it has pages to bring, or is waiting for the answer to the last one. */
  get needsChild(): boolean {
    return this.#state === 'running' && !(this.#lastPageSeen && this.#acknowledged >= this.#nextPage - 1);
  }

  get #isAlive(): boolean {
    return this.#state === 'running' || this.#state === 'finished';
  }

  /** Bytes that waiting pages take when carried, at most. */
  get waitingBytes(): number {
    return this.#pages.bytes;
  }

  /** The number of the last page whose members have all been handed out, which the child may be told again at any time. */
  get drainedPage(): number {
    return (this.#pages.firstNumber ?? this.#nextPage) - 1;
  }

  /** A drained page that the child has not been told of yet; undefined when there is none. */
  get owedAcknowledgement(): number | undefined {
    return this.drainedPage > this.#acknowledged && this.#isAlive ? this.drainedPage : undefined;
  }

  /** Where the page that is taken next begins. */
  get cursor(): BackfillCursor {
    return this.#cursor;
  }

  /** Its child has gone while pages are still to come: another one is to continue from `cursor`. No answer is awaited any more. */
  restart(now: number): void {
    this.#acknowledged = this.#nextPage - 1;
    if (!this.expectsPages) return;
    this.started = false;
    this.heardAt = now;
    this.#readAgain = 0;
  }

  acknowledge(page: number): void {
    this.#acknowledged = page;
  }

  /**
   * Takes a page.
   *
   * @param isSuperseded whether a live trigger about that person and audience is newer than the page.
   * @param isRemembered whether live arrivals are remembered since before the page was read.
   */
  take(page: MemberPage, now: number, isSuperseded: (user: string) => boolean, isRemembered: boolean): PageReply {
    if (!this.isOf(page.n)) return 'ignored';
    this.heardAt = now;
    if (page.number !== this.#nextPage || this.#lastPageSeen) {
      // An earlier page again: our answer was lost, so it has to be repeated.
      if (page.number < this.#nextPage) this.#acknowledged = Math.min(this.#acknowledged, page.number - 1);
      return 'ignored';
    }
    if (!isRemembered) {
      this.#readAgain++;
      return 'read-again';
    }
    this.#readAgain = 0;
    this.#nextPage++;
    this.#expected ??= page.expected;
    this.#cursor = page.next ?? this.#cursor;
    this.#lastPageSeen = page.last;
    this.#counts.superseded += this.#pages.add(page, isSuperseded);
    this.#counts.taken += page.ids.length;
    this.#finishIfDone();
    return 'taken';
  }

  /** Whether the next page was sent back so often that the child is waiting for calmer traffic. */
  get waitsForCalm(): boolean {
    return this.#readAgain > READ_AGAIN_AT_ONCE;
  }

  /** The next member to send; undefined when none is waiting. */
  shift(perSecond: number | undefined, now: number): { readonly user: string; readonly audience: string } | undefined {
    const waiting = this.waitingInPages;
    const next = this.#pages.shift();
    if (next === undefined) return undefined;
    this.pace.spend(waiting, perSecond, now);
    this.#inChains++;
    return next;
  }

  /** A live trigger came: leaves out the members of waiting pages that it is about. */
  supersede(user: string, audience: string): void {
    this.#counts.superseded += this.#pages.remove(user, audience);
    this.#finishIfDone();
  }

  /** An edit removed an audience: its members are no longer sent. */
  dropAudience(audience: string): void {
    this.#counts.superseded += this.#pages.removeAudience(audience);
    this.#finishIfDone();
  }

  /** Triggers of this backfill left the chains. */
  settled(count: number, as: Leaving): void {
    this.#inChains -= count;
    if (as === 'delivered') this.#counts.delivered += count;
    if (as === 'superseded') this.#counts.superseded += count;
    if (as === 'dead') this.#counts.dead += count;
    this.#finishIfDone();
  }

  /** Ends it: `cancelled` by a person, `lost` when its child is gone. What it already put into chains is still sent. */
  end(state: 'cancelled' | 'lost'): void {
    if (this.#state !== 'running') return;
    this.#state = state;
    this.#pages.clear();
  }

  get counts(): Readonly<BackfillCounts> {
    return this.#counts;
  }

  /**
   * How many members there are to send: by the source's count at the start, and exact once all pages have been read; undefined when the
   * source did not say.
   */
  get expected(): number | undefined {
    if (this.#lastPageSeen) return this.#counts.taken;
    return this.#expected && Math.max(this.#expected, this.#counts.taken);
  }

  /** Members that are waiting in the job, in pages or chains. */
  get waiting(): number {
    return this.waitingInPages + this.#inChains;
  }

  carry(): CarriedBackfill {
    return {
      n: this.n,
      ...(this.requestId === undefined ? {} : { requestId: this.requestId }),
      audiences: this.audiences,
      at: this.at,
      state: this.#state,
      started: this.started,
      nextPage: this.#nextPage,
      cursor: this.#cursor,
      acknowledged: this.#acknowledged,
      lastPageSeen: this.#lastPageSeen,
      pages: this.#pages.carry(),
      inChains: this.#inChains,
      counts: { ...this.#counts },
      meter: this.meter.carry(),
      ...(this.#expected === undefined ? {} : { expected: this.#expected }),
      pace: this.pace.carry(),
      heardAt: this.heardAt,
      readAgain: this.#readAgain,
    };
  }

  #finishIfDone(): void {
    if (this.#state === 'running' && this.#lastPageSeen && this.waiting === 0) this.#state = 'finished';
  }
}
