import type { BackfillCursor, MemberPage, SentInstead } from '../../contract/backfill.ts';
import type { BackfillStatus, CarriedMeter } from '../../contract/job-status.ts';
import { definedOf } from '../json.ts';
import { Meter } from '../trend.ts';
import type { QueuedTrigger } from './queue/chain.ts';
import { type CarriedPage, type Member, membersOf, WaitingPages } from './queue/waiting-pages.ts';
import { BackfillPace, type CarriedPace } from './throttles/pace.ts';

/** Members of a backfill, by outcome. */
interface BackfillCounts {
  taken: number;
  delivered: number;
  superseded: number;
  dead: number;
  /** Absent: none. */
  filtered?: number;
}

export interface CarriedBackfill extends SentInstead {
  readonly n: number;
  readonly audiences: readonly string[];
  readonly at: string;
  /** With a replay: epoch ms at which it began; absent: it began before 0.2.0. */
  readonly beganAt?: number;
  readonly state: BackfillStatus['state'];
  /** True once the child workflow was started. */
  readonly started: boolean;
  /** Number of the page that is taken next. */
  readonly nextPage: number;
  /** Where that page begins. */
  readonly cursor: BackfillCursor;
  /** Number of the last page that the child was told is taken; 0 before the first. */
  readonly acknowledged: number;
  readonly lastPageSeen: boolean;
  readonly pages: readonly CarriedPage[];
  /** Triggers of this backfill in chains. */
  readonly inChains: number;
  readonly counts: Readonly<BackfillCounts>;
  readonly meter: CarriedMeter;
  /** How many members the source counted at the start; absent when it did not say. */
  readonly expected?: number;
  readonly pace: CarriedPace;
  /** Epoch ms of the child's last sign of life. */
  readonly heardAt: number;
  /** How often in a row the next page was sent back to be read again. */
  readonly readAgain: number;
  /** How often another child continued from `cursor`; absent: never. */
  readonly restarts?: number;
  /** How many members were left out of audiences that an edit removed, by audience; absent: none. */
  readonly leftOut?: readonly (readonly [audience: string, members: number])[];
}

/** How many times in a row a page may be read again at once before the child is told to wait for calmer traffic. */
export const READ_AGAIN_AT_ONCE = 3;

// ["0123456789abcdef0123456789abcdef",1234567890],
const LEFT_OUT_BYTES = 50;

/** How a trigger of a backfill left the chains. */
export type Leaving = 'delivered' | 'superseded' | 'discarded' | 'dead' | 'filtered';

/** `gap`: a page before it never came, and will not come by itself. */
type PageReply = 'taken' | 'read-again' | 'ignored' | 'gap';

/** The job's side of one backfill: takes pages in order, once, and hands out their members. */
export class BackfillIntake {
  readonly n: number;
  readonly audiences: readonly string[];
  readonly instead: SentInstead;
  /** The `at` of all its triggers, but for those of a replay. */
  readonly at: string;
  /** See `CarriedBackfill`. */
  readonly beganAt: number | undefined;
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
  #restarts: number;
  readonly #leftOut: Map<string, number>;

  constructor(carried: CarriedBackfill) {
    this.n = carried.n;
    this.audiences = carried.audiences;
    this.instead = definedOf({ difference: carried.difference, replay: carried.replay });
    this.at = carried.at;
    this.beganAt = carried.beganAt;
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
    this.#restarts = carried.restarts ?? 0;
    this.#leftOut = new Map(carried.leftOut);
  }

  static begin(request: {
    n: number;
    audiences: readonly string[];
    at: string;
    now: number;
    /** Pause after this many members. */
    sample?: number;
    instead?: SentInstead | undefined;
  }): BackfillIntake {
    const { sample, now, instead } = request;
    return new BackfillIntake({
      n: request.n,
      audiences: request.audiences,
      ...instead,
      at: request.at,
      ...(instead?.replay === undefined ? {} : { beganAt: now }),
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

  /** How often another child continued where the one before had stopped. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Whether its child is gone while pages were still to come: a person has to decide. */
  get isLost(): boolean {
    return this.#state === 'lost';
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

  /** Whether members are still to be read or put into a slice, now or once a person has decided. */
  get isUnfinished(): boolean {
    return this.isUnderWay || this.isLost;
  }

  /** Whether it goes no further until a person has decided. */
  get isHeldBack(): boolean {
    return this.isUnfinished && (this.pace.paused !== undefined || (this.isLost && this.waitingInPages === 0));
  }

  /** Whether its child should be running: it has pages to bring, or is waiting for the answer to the last one. */
  get needsChild(): boolean {
    return this.#state === 'running' && !(this.#lastPageSeen && this.#acknowledged >= this.#nextPage - 1);
  }

  get #isAlive(): boolean {
    return this.#state === 'running' || this.#state === 'finished';
  }

  /** Most bytes that waiting pages, and the counts of members left out, take when carried. */
  get waitingBytes(): number {
    return this.#pages.bytes + this.#leftOut.size * LEFT_OUT_BYTES;
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

  /**
   * Prepares for another child: its child is gone, is to go, or cannot bring the next page, so nobody awaits an answer any more. While
   * pages are still to come, another child continues from `cursor`, even if the backfill was lost.
   */
  restart(): void {
    this.#acknowledged = this.#nextPage - 1;
    if (this.#state === 'lost') this.#state = 'running';
    if (!this.expectsPages) return;
    this.started = false;
    this.#readAgain = 0;
    this.#restarts++;
  }

  acknowledge(page: number): void {
    this.#acknowledged = page;
  }

  /**
   * Takes a page.
   *
   * @param isSuperseded whether a live trigger about a person and audience is newer than the page.
   * @param isRemembered whether live arrivals are remembered since before the page was read.
   * @param isRemoved whether an edit has removed an audience: then none of its members are sent.
   */
  take(
    page: MemberPage,
    now: number,
    isSuperseded: (member: Member) => boolean,
    isRemembered: boolean,
    isRemoved: (audience: string) => boolean = () => false,
  ): PageReply {
    if (!this.isOf(page.n) || (page.restarts ?? 0) !== this.#restarts) return 'ignored';
    this.heardAt = now;
    if (page.number !== this.#nextPage || this.#lastPageSeen) {
      // It is an earlier page again: our answer was lost, so repeat it.
      if (page.number < this.#nextPage) this.#acknowledged = Math.min(this.#acknowledged, page.number - 1);
      // The child sends its pages in order. A reset of the workflow without its signals loses pages that the child had sent.
      const isGap = page.number > this.#nextPage && this.expectsPages && this.started && this.#readAgain === 0;
      return isGap ? 'gap' : 'ignored';
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
    const { outdated = 0 } = page;
    const members = membersOf(page);
    this.#counts.taken += members.length + outdated;
    this.#counts.superseded += this.#pages.add(page.number, members, isSuperseded) + outdated;
    for (const audience of new Set(members.map((one) => one.audience)))
      if (isRemoved(audience)) this.#leaveOut(audience, this.#pages.removeAudience(audience));
    this.#finishIfDone();
    return 'taken';
  }

  /** Whether the next page was sent back so often that the child is waiting for calmer traffic. */
  get waitsForCalm(): boolean {
    return this.#readAgain > READ_AGAIN_AT_ONCE;
  }

  /** The next member to send; undefined when none is waiting. */
  shift(perSecond: number | undefined, now: number): Member | undefined {
    const waiting = this.waitingInPages;
    const next = this.#pages.shift();
    if (next === undefined) return undefined;
    this.pace.spend(waiting, perSecond, now);
    this.#inChains++;
    return next;
  }

  /** Leaves out the members of waiting pages that a new live trigger is about, and returns their triggers. */
  supersede(user: string, audience: string): QueuedTrigger[] {
    const members = this.#pages.remove(user, audience);
    this.#counts.superseded += members.length;
    this.#finishIfDone();
    return members.map((member) => this.triggerOf(member));
  }

  /** The trigger by which a member is sent. */
  triggerOf({ audience, event, at = this.at }: Member): QueuedTrigger {
    const replay = this.instead.replay === undefined ? {} : { replay: true as const };
    return { audience, event, at, backfill: this.n, ...replay };
  }

  /** Drops the members of an audience that an edit removed. */
  dropAudience(audience: string): void {
    this.#leaveOut(audience, this.#pages.removeAudience(audience));
    this.#finishIfDone();
  }

  /** How many members were left out of audiences that an edit removed, by audience, even if the audience is back. */
  get leftOut(): ReadonlyMap<string, number> {
    return this.#leftOut;
  }

  /** Counts triggers of this backfill that left the chains. */
  settled(count: number, as: Leaving): void {
    this.#inChains -= count;
    if (as === 'delivered') this.#counts.delivered += count;
    if (as === 'superseded') this.#counts.superseded += count;
    if (as === 'dead') this.#counts.dead += count;
    if (as === 'filtered') this.#counts.filtered = (this.#counts.filtered ?? 0) + count;
    this.#finishIfDone();
  }

  /** Ends it, for a person who asked for that. Triggers already in chains are still sent. */
  cancel(): void {
    if (this.#state !== 'running' && this.#state !== 'lost') return;
    this.#state = 'cancelled';
    this.#pages.clear();
  }

  /** Marks it as lost: its child is gone, and only a person can say whether another one may continue. Members already read are still sent. */
  lose(): void {
    if (this.expectsPages) this.#state = 'lost';
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
      audiences: this.audiences,
      ...this.instead,
      at: this.at,
      ...(this.beganAt === undefined ? {} : { beganAt: this.beganAt }),
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
      ...(this.#restarts === 0 ? {} : { restarts: this.#restarts }),
      ...(this.#leftOut.size === 0 ? {} : { leftOut: [...this.#leftOut] }),
    };
  }

  #leaveOut(audience: string, members: number): void {
    if (members > 0) this.#leftOut.set(audience, (this.#leftOut.get(audience) ?? 0) + members);
  }

  #finishIfDone(): void {
    if (this.#state === 'running' && this.#lastPageSeen && this.waiting === 0) this.#state = 'finished';
  }
}
