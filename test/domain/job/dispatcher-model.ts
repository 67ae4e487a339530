import type { MemberPage, PageTaken, SentInstead } from '../../../src/contract/backfill.ts';
import type { SliceRun } from '../../../src/client/calls/attempt.ts';
import type { SliceInput, SliceProgress, SliceReport } from '../../../src/contract/slice.ts';
import type { CalendarSettings, QuietHours } from '../../../src/contract/timing.ts';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import { deadLetterOf, redeliveryOf } from '../../../src/domain/job/dead-letter.ts';
import {
  admit,
  admitPage,
  remembersBeforeReplay,
  admitRedelivery,
  answersGone,
  tidyMemory,
} from '../../../src/domain/job/arriving.ts';
import { sendsNothing } from '../../../src/domain/job/dispatching.ts';
import { nextStep } from '../../../src/domain/job/deciding.ts';
import type { Step } from '../../../src/domain/job/steps.ts';
import type { RunFacts } from '../../../src/domain/job/run-end.ts';
import { describeJob } from '../../../src/domain/job/describing.ts';
import {
  applyEdit,
  backfillChildGone,
  backfillObstacle,
  beginBackfill,
  calendarRead,
  editObstacle,
  operateBackfill,
  pauseJob,
  resumeJob,
  retryNow,
  runAgain,
  stopJob,
} from '../../../src/domain/job/operating.ts';
import { hasLostBefore, reclaimSlice } from '../../../src/domain/job/quarantine.ts';
import { recoverJob } from '../../../src/client/jobs/recovering.ts';
import { loseSlice, returnPermits, settleSlice } from '../../../src/domain/job/settling.ts';
import { beginJob, type CarriedJob, carryJob, estimateBytes, restoreJob } from '../../../src/domain/job/carrying.ts';
import { isStopped, type JobRecord } from '../../../src/domain/job/job.ts';
import { type DispatcherState, permitsInUse } from '../../../src/domain/job/state.ts';
import { parseJson, stringifyJson } from '../../../src/domain/json.ts';
import { budgetsOf, DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';
import { retryDelaysMs } from '../../../src/domain/retry.ts';
import { packSlice, readReport } from '../../../src/domain/slice.ts';
import { AUDIENCES, jobRecord } from './a-record.ts';
import { checkBackfill, checkBookkeeping, checkHonestWait } from './model-bookkeeping.ts';
import { ModelBatches } from './model-batches.ts';
import { checkQuiet, checkTold, drops, MODEL_NIGHT, modelCalendar, ModelQuota } from './model-calendar.ts';
import { type Found, ModelChild } from './model-child.ts';
import { ModelDeadWorkers } from './model-dead-workers.ts';
import { type Answer, answerSlice } from './model-endpoint.ts';
import { type End, ModelHolders } from './model-holders.ts';
import { ModelLedger, must } from './model-ledger.ts';
import { ModelProfiles } from './model-profiles.ts';
import { ModelStarts } from './model-starts.ts';
import { whereTriggersWait } from './model-waiting.ts';

const A = 'a'.repeat(32);
/** So small that a handful of triggers is more than a job holds in its own state. */
const SMALL_LIMITS = { ...DEFAULT_SERVER_LIMITS, payloadBytes: 16 * 1024 };

/**
 * A world around the dispatcher: it signals, answers, crashes and lets time pass, and after every step holds the promises against
 * what it knows itself.
 */
export class DispatcherWorld {
  state: DispatcherState;
  now = Date.UTC(2026, 0, 1);
  readonly running = new Map<number, SliceInput>();
  readonly #dead = new ModelDeadWorkers();
  /** Of the present run. */
  #events = 0;
  readonly ledger = new ModelLedger(budgetsOf(SMALL_LIMITS).rememberedDeliveries);
  readonly holders = new ModelHolders(this.ledger);
  readonly #profiles = new ModelProfiles();
  readonly #starts = new ModelStarts();
  /** Slices that have said that they start nothing more. */
  readonly #quiet = new Set<number>();
  readonly #quota = new ModelQuota(this.ledger);
  #child: ModelChild | undefined;
  /** Who is a member now, by the source. */
  readonly membership = new Map<string, boolean>();
  /** People, by audience, whose last change the job does not want. */
  readonly #unwanted = new Set<string>();
  #filtered = 0;
  /** When the newest change of a person in an audience happened: of all, and of those that came since the job drops what is older. */
  readonly #newest = { ever: new Map<string, string>(), known: new Map<string, string>() };
  // Far from 0, so that no trigger looks like an enter of a backfill, whose time the job settles at a whole ms.
  #sequence = 100_000;
  #letters = 0;
  /** Runs of dead letters that asked a stopped job. */
  readonly #refusedLetters = new Set<string>();
  readonly #batches = new ModelBatches();
  #cap: number;

  readonly #tailBytes: number;

  /**
   * @param tailBytes what may wait behind the chains while the job sends on: with none, more goes through holders.
   */
  constructor(parallel: number, tailBytes: number) {
    this.#tailBytes = tailBytes;
    this.state = this.#withTail(beginJob({ ...jobRecord(parallel), serverLimits: SMALL_LIMITS }, 7));
    this.#cap = parallel;
  }

  #withTail(state: DispatcherState): DispatcherState {
    return { ...state, budgets: { ...state.budgets, tailBytes: this.#tailBytes } };
  }

  /** @param agoMs how long ago it happened, according to its sender, who may be wrong. */
  signal(user: string, audience: 'a' | 'b', event: 'enter' | 'exit', profileBytes = 0, agoMs = 0): void {
    this.#signal(
      user,
      audience,
      event,
      profileBytes > 0 ? { text: 'x"'.repeat(Math.ceil(profileBytes / 3)) } : undefined,
      agoMs,
    );
  }

  /** A signal whose profiles are spilled. */
  signalSpilled(triggers: readonly (readonly [user: string, audience: 'a' | 'b', event: 'enter' | 'exit'])[]): void {
    this.#profiles.beginSignal();
    for (const [user, audience, event] of triggers) this.#signal(user, audience, event, this.#profiles.next(), 0);
  }

  #signal(
    user: string,
    audience: 'a' | 'b',
    event: 'enter' | 'exit',
    profile: object | undefined,
    agoMs: number,
  ): void {
    const at = new Date(this.now - agoMs).toISOString().replace('Z', String(this.#sequence++).padStart(6, '0') + 'Z');
    const id = audience.repeat(32);
    const isHonest = this.#subscribesTo(id);
    const dropped = this.state.counters.staleDropped;
    const refusal = this.#admit({ user, audience, at, ...(profile === undefined ? {} : { profile }) }, event);
    must((refusal === undefined) === isHonest, `an honest trigger is accepted, no other (${refusal})`);
    // Nothing changes in this world that nobody may speak of.
    if (!isHonest || this.#wasLate(`${user} ${id}`, at, this.state.counters.staleDropped !== dropped)) return;
    this.membership.set(`${user} ${id}`, event === 'enter');
    if (this.#isSent(event)) {
      this.#unwanted.delete(`${user} ${id}`);
      this.ledger.accept({ user, audience: id, event, at }, this.now);
    } else {
      this.#unwanted.add(`${user} ${id}`);
      this.#filtered++;
    }
  }

  /** Whether a change was dropped, which is so when the job drops what is older than another, and knows of one. */
  #wasLate(who: string, at: string, isDropped: boolean): boolean {
    const { ever, known } = this.#newest;
    const drops = this.state.job.definition.stale === 'drop';
    must(!isDropped || (drops && (ever.get(who) ?? '') > at), 'nothing is dropped than what is older');
    must(isDropped || !drops || (known.get(who) ?? '') <= at, 'what is older than a change that is known is dropped');
    if (isDropped) return true;
    for (const newest of drops ? [ever, known] : [ever]) if ((newest.get(who) ?? '') < at) newest.set(who, at);
    return false;
  }

  /** An upstream says again what it said before, since it did not hear that it was accepted. */
  signalAgain(user: string, which: number): void {
    const [, audience = '', event = '', at = ''] = this.ledger.repeat(user, which)?.split(' ') ?? [];
    if (!this.#subscribesTo(audience)) return;
    const dropped = this.state.counters.staleDropped;
    this.#admit({ user, audience, at }, event === 'enter' ? 'enter' : 'exit');
    if (!this.#isSent(event) && dropped === this.state.counters.staleDropped) this.#filtered++;
  }

  /** Somebody lets a dead letter be sent after all. */
  redeliver(which: number): void {
    this.#batches.forget();
    const dead = this.ledger.someDead(which);
    if (dead === undefined) return;
    // It keeps its profile itself.
    const { profileRef: _, ...letter } = deadLetterOf(this.state.job, dead, 'export-job-model', this.now);
    const asking = { workflowId: 'dead-letter-1', runId: `run ${++this.#letters}`, question: 1 };
    if (isStopped(this.state)) this.#refusedLetters.add(asking.runId);
    else this.ledger.revive(dead, this.now);
    const asked = redeliveryOf(letter, { asking, force: true, isWithdrawn: false });
    // Some ask again before they have heard.
    for (let times = 0; times <= which % 2; times++) {
      const raw = parseJson(stringifyJson(asked));
      must(admitRedelivery(this.state, raw, this.now) === undefined, 'a dead letter may come back');
    }
  }

  /** An activity on its way to a holder or a dead letter ends. */
  endHolderActivity(which: number, how: End): void {
    this.holders.end(this.state, which, how, this.now);
  }

  /** An operator has the holder that could not be read be read now. */
  readHolder(): void {
    if (this.state.unreadable !== undefined) this.state.unreadable = { ...this.state.unreadable, retryAt: this.now };
  }

  /** Acts until the dispatcher says wait. */
  pump(facts: Partial<RunFacts> = {}): void {
    for (let turn = 0; ; turn++) {
      must(turn < 10_000, 'the pump gets on');
      const step = nextStep(this.state, this.now, {
        signals: 0,
        events: this.#events,
        historyBytes: 0,
        ageMs: 60_000,
        continueSuggested: false,
        busy: this.#isBusy,
        atHolders: !this.holders.isQuiet,
        ...facts,
      });
      if (step.kind === 'wait') {
        const isIdle = this.running.size + this.#dead.size === 0 && this.holders.isQuiet;
        checkHonestWait(this.state, step.until, this.now, isIdle);
        checkTold(this.state, step.until, this.now);
        // What a run waits for that is to end is another matter.
        if (this.#events === 0) this.#batches.waits(this.state, this.now);
        if (this.#events === 0) this.#quota.waits(this.state, this.now);
        return;
      }
      // But for what holders do, all is done at once.
      if (step.kind !== 'drop') this.state.underWay.delete(step.kind);
      must(step.kind !== 'deliver' || !isStopped(this.state), 'a stopped job sends nothing');
      if (step.kind === 'deliver') this.#takeSlice(step.slice);
      if (step.kind === 'answer-page') this.#pageAnswered(step.answer);
      if (step.kind === 'raise-alerts') this.state.alerts.confirm(step.alerts);
      if (step.kind === 'answer-letters') {
        for (const { answer } of step.answers) {
          const expected = this.#refusedLetters.has(answer.runId) ? 'stopped' : undefined;
          must(answer.refusal === expected, 'a dead letter that comes back is taken, unless the job has stopped');
        }
        answersGone(this.state, step.answers);
      }
      if (step.kind === 'start-backfill' && step.restarts > 0) this.#child?.goOn(step.from.page, step.restarts);
      if (step.kind === 'drop') this.#profiles.dropped(this.state, this.holders, step.holders);
      if (isHolderStep(step)) this.holders.begin(step);
      if (step.kind === 'continue-as-new') {
        this.continueAsNew();
        return;
      }
      if (step.kind === 'read-calendar') calendarRead(this.state, step.revision, modelCalendar(step.from));
      if (step.kind === 'finish') {
        must(this.state.stopping !== undefined, 'a job that nobody stopped does not finish');
        this.#endRun(false);
        this.state = this.#withTail(this.#resumed());
      }
    }
  }

  /** The run has so many events by now. */
  grow(events: number): void {
    this.#events = events;
  }

  /** The worker of a running slice is killed: only what it said last is known, and a request of it may be open for a while. */
  killWorker(which: number, answers: readonly Answer[]): void {
    const slice = this.#takeRunning(which);
    if (slice === undefined) return;
    const { report, delivered } = this.#answer(slice, answers);
    for (const trigger of slice.triggers.filter((_, index) => delivered.includes(index))) this.ledger.deliver(trigger);
    const heard = lastHeard(report, delivered);
    for (const index of delivered) if (!heard.known.includes(index)) this.#explain(slice, index);
    this.#dead.died(this.state, slice, heard, this.now);
  }

  /** A worker whose slice was reclaimed lives after all: what it says of it comes too late. */
  speakLate(which: number): void {
    const sliceId = this.#dead.someReclaimed(which);
    if (sliceId === undefined) return;
    returnPermits(this.state, { sliceId, left: 0 }, this.now);
    loseSlice(this.state, sliceId, undefined, this.now);
    must(settleSlice(this.state, sliceId, { failed: [], unsent: [], sendingMs: 1 }, this.now), 'it is no trouble');
  }

  #takeRunning(which: number): SliceInput | undefined {
    const ids = [...this.running.keys()];
    const id = ids[which % Math.max(1, ids.length)];
    const slice = id === undefined ? undefined : this.running.get(id);
    if (id !== undefined) this.running.delete(id);
    return slice;
  }

  /** @param happens whether what was under way happens all the same. */
  continueAsNew(happens = false): void {
    if ([...this.state.slices.values()].some(({ overAt }) => overAt === undefined) || this.#isBusy) return;
    const carried = JSON.stringify(carryJob(this.state));
    must(carried.length <= estimateBytes(this.state), 'a state is never larger than it is estimated');
    // The job itself waits as long as what is on its way to holders, or is to go there, does not fit.
    const isShrinking = !this.holders.isQuiet || this.state.overflow.surplusBytes > 0;
    if (carried.length > this.state.budgets.carryBytes && isShrinking) return;
    must(carried.length <= this.state.budgets.carryBytes, 'a state is never too large to be carried');
    this.#endRun(happens);
    this.state = this.#withTail(restoreJob(JSON.parse(carried) as CarriedJob));
  }

  /**
   * The run is ended from outside, and the job recovered: of every other slice it is known how it ended.
   *
   * @param happens whether what was under way happens all the same.
   */
  terminate(answers: readonly Answer[], happens: boolean): void {
    this.#batches.forget();
    const carried = JSON.parse(JSON.stringify(carryJob(this.state))) as CarriedJob;
    const ends: Pick<SliceRun, 'slice' | 'end'>[] = [];
    for (const [index, slice] of [...this.running.values()].entries()) {
      const { report, delivered } = this.#answer(slice, answers);
      for (const trigger of slice.triggers.filter((_, place) => delivered.includes(place)))
        this.ledger.deliver(trigger);
      const read = readReport(report, slice.triggers.length);
      if (index % 2 === 0 && read !== undefined) ends.push({ slice, end: { kind: 'reported', report: read } });
      else {
        ends.push({ slice, end: { kind: 'lost' } });
        for (const place of delivered) this.#explain(slice, place);
      }
    }
    for (const { slice, known } of this.#dead.forget()) for (const place of known) this.#explain(slice, place);
    this.running.clear();
    this.#endRun(happens);
    this.state = this.#withTail(recoverJob({ carried, ends, arrivals: [] }, false, this.now));
  }

  #endRun(happens: boolean): void {
    this.holders.endRun(happens);
    this.#events = 0;
  }

  /** A running slice ends; `answers` are drawn for its triggers in turn. */
  endSlice(which: number, answers: readonly Answer[], lost: boolean): void {
    const slice = this.#takeRunning(which);
    if (slice === undefined) return;
    const { sliceId: id } = slice;
    const { report, delivered } = this.#answer(slice, answers);
    for (const trigger of slice.triggers.filter((_, index) => delivered.includes(index))) this.ledger.deliver(trigger);
    if (lost) {
      const { known, progress } = lastHeard(report, delivered);
      for (const index of delivered) if (!known.includes(index)) this.#explain(slice, index);
      loseSlice(this.state, id, progress, this.now);
    } else {
      const failures = new Map(
        slice.triggers.map(({ user }) => [user, this.state.chains.get(user)?.failures ?? 0] as const),
      );
      settleSlice(this.state, id, report, this.now);
      this.#checkRetries(failures);
      this.#checkAnswers(slice, report);
      this.#batches.settled(this.state, slice, report);
    }
  }

  /** The endpoint takes nothing about somebody, again and again, and whatever is about others: until it has been tried so often. */
  failAgain(user: string, times: number): void {
    for (let time = 0; time < times; time++) {
      this.signal('well', 'b', time % 2 === 0 ? 'enter' : 'exit');
      this.pass(Math.max(0, (this.state.chains.get(user)?.notBefore ?? 0) - this.now));
      this.pump();
      for (let round = 0; round < 5 && this.running.size > 0; round++) {
        const all = [...this.running.values()];
        for (const { triggers } of all) {
          const answers = triggers.map((trigger): Answer => (trigger.user === user ? 500 : 'ok'));
          this.endSlice(0, answers, false);
        }
        this.pump();
      }
    }
  }

  #answer(slice: SliceInput, answers: readonly Answer[]): ReturnType<typeof answerSlice> {
    const answered = answerSlice(slice, answers, this.#starts.mostOf(slice, this.now));
    this.#quota.answered(slice, answered.report);
    const spacing = this.#starts.end(slice, answered.asked, this.now);
    return spacing === undefined ? answered : { ...answered, report: { ...answered.report, spacing } };
  }

  /** A slice with a pace then starts no more requests, either. */
  returnPermits(which: number): void {
    const [slice] = [...this.running.values()].slice(which % Math.max(1, this.running.size));
    const permits = slice === undefined ? undefined : this.state.slices.get(slice.sliceId)?.permits;
    if (slice === undefined || permits === undefined) return;
    const spacing = this.#starts.end(slice, this.#starts.mostOf(slice, this.now), this.now);
    const returned = { sliceId: slice.sliceId, left: Math.max(0, permits - 1), spacing };
    returnPermits(this.state, JSON.parse(JSON.stringify(returned)), this.now);
    this.#quiet.add(slice.sliceId);
  }

  /** The slices of a job that is to begin no request are cancelled: one before a worker had it, one with requests open, one in its middle. */
  hearOfPause(how: number, answers: readonly Answer[]): void {
    if (!sendsNothing(this.state)) return;
    for (const [place, id] of [...this.running.keys()].entries()) {
      const which = [...this.running.keys()].indexOf(id);
      if ((how + place) % 3 === 0) this.endSlice(which, ['unsent'], true);
      else if ((how + place) % 3 === 1) this.returnPermits(which);
      else this.endSlice(which, [...answers, 'unsent'], false);
    }
  }

  pass(ms: number): void {
    this.now += ms;
    for (const { slice, progress } of this.#dead.timedOut(this.now)) {
      const { requestTimeoutMs } = slice.settings;
      const delaysLost = hasLostBefore(this.state, slice.sliceId);
      const lost = { details: progress, isSilent: true, requestTimeoutMs, delaysLost };
      reclaimSlice(this.state, slice.sliceId, lost, this.now);
    }
    tidyMemory(this.state, this.now);
  }

  /** Somebody stops the job so that it keeps what waits. */
  stopKeeping(): void {
    stopJob(this.state, 'keep');
  }

  /** The same, after sending what waits for as long as it may take. */
  stopDelivering(deadlineMs: number): void {
    stopJob(this.state, 'deliver', this.now + deadlineMs);
  }

  /** Somebody resumes the job, if it has stopped. */
  runAgain(): void {
    if (isStopped(this.state)) runAgain(this.state, this.now);
  }

  // A job that stops takes no edit and no pause.

  pause(): void {
    if (this.state.stopping === undefined) pauseJob(this.state);
  }

  resume(): void {
    resumeJob(this.state);
  }

  retry(): void {
    if (this.state.pause === undefined) retryNow(this.state, this.now);
  }

  editParallel(parallel: number): void {
    if (this.state.stopping === undefined) this.#cap = Math.max(parallel, permitsInUse(this.state));
    this.edit({ parallelRequestCount: parallel });
  }

  /** Takes audience a out, or in again. */
  editAudiences(withA: boolean): void {
    const [audiences, formerAudiences] = withA ? [AUDIENCES, []] : [AUDIENCES.slice(1), AUDIENCES.slice(0, 1)];
    this.edit({}, { audiences, formerAudiences });
  }

  edit(changed: Partial<JobRecord['definition']>, more: Partial<JobRecord> = {}): void {
    const { job, stopping } = this.state;
    const next = { ...job, revision: job.revision + 1, definition: { ...job.definition, ...changed }, ...more };
    if (stopping === undefined) applyEdit(this.state, next, this.now);
  }

  /** Asks for a backfill of audience a, if one may begin; what its child reads is up to `readPage`. */
  backfill(sample?: number): void {
    this.#begin(
      this.#known.filter(({ event }) => event === 'enter'),
      { sample },
    );
  }

  /** Asks for a reconcile of audience a: the endpoint has wrongly what it has of every `nth` person. */
  reconcile(nth: number): void {
    const people = this.#known.filter((_, place) => place % nth === 0);
    const exits = people.filter(({ event }) => event === 'exit').length;
    this.#begin(people, { instead: { difference: { id: 'd', enters: people.length - exits, exits } } });
  }

  /** Of whom the source says now that they are in audience a, or not. */
  get #known(): Found[] {
    const all = [...this.membership].filter(([who]) => who.endsWith(A));
    return all.map(([who, isIn]) => ({ user: who.split(' ')[0] ?? '', event: isIn ? 'enter' : 'exit' }));
  }

  #begin(
    people: readonly Found[],
    how: { readonly instead?: SentInstead; readonly sample?: number | undefined },
  ): void {
    if (backfillObstacle(this.state, how.instead) !== undefined || !this.#subscribesTo(A)) return;
    this.#child?.latePageComes();
    beginBackfill(this.state, [A], this.now, how);
    const isIn = (user: string) => this.membership.get(`${user} ${A}`) === true;
    const deliver = (page: MemberPage) => void admitPage(this.state, page, this.now, remembersBeforeReplay(this.state));
    const ofBackfill = { subscriptionId: this.state.job.subscriptionId, n: this.state.backfill?.n ?? 0, audience: A };
    this.#child = new ModelChild(ofBackfill, people, { isIn, deliver }, how.instead?.difference !== undefined);
  }

  operateBackfill(action: 'pause' | 'resume' | 'cancel'): void {
    operateBackfill(this.state, action);
  }

  /** Somebody ends the backfill's child; the job finds out. A page of it may still be on its way. */
  loseChild(): void {
    const { backfill } = this.state;
    if (backfill !== undefined && this.state.stopping === undefined) backfillChildGone(this.state, backfill.n);
  }

  /** An edit says which events the job sends, unless a backfill would be left without. */
  editEvents(events: readonly TriggerEvent[] | null): void {
    if (editObstacle(this.state, { ...this.state.job.definition, events }) === undefined) this.edit({ events });
  }

  /** An edit says whether what is older than the person's newest change is sent. */
  editStale(stale: 'send' | 'drop'): void {
    this.edit({ stale });
    if (this.state.job.definition.stale === 'send') this.#newest.known.clear();
  }

  /** An edit says when the job is quiet, and what becomes of what comes then. */
  editQuiet(meanwhile: QuietHours['meanwhile'] | null): void {
    this.#editCalendar({ quietHours: meanwhile === null ? null : { ...MODEL_NIGHT, meanwhile } });
  }

  /** An edit says of how many people the job may tell in a period. */
  editQuota(people: number | null): void {
    this.#editCalendar({ quota: people === null ? null : { people, per: 'hour', timeZone: 'UTC' } });
  }

  #editCalendar(change: Partial<CalendarSettings>): void {
    const { calendar: _, ...job } = this.state.job;
    const definition = { ...job.definition, ...change };
    const isFree = definition.quietHours === null && definition.quota === null;
    const calendar = isFree ? {} : { calendar: modelCalendar(this.now) };
    if (this.state.stopping === undefined)
      applyEdit(this.state, { ...job, ...calendar, revision: job.revision + 1, definition }, this.now);
  }

  /** An edit says when the job stops by itself. */
  editEnd(inMs: number | null): void {
    const endsAt = inMs === null ? null : new Date(this.now + inMs).toISOString();
    this.edit({ endsAt });
  }

  /** An edit has the job send in batches, or each trigger by itself. */
  editBatch(batch: { readonly size: number; readonly afterMs: number } | null): void {
    this.#batches.forget();
    this.edit({ batch });
  }

  /** The child reads its next page; its signal comes at once or late, and `again` also repeats one that came before. */
  readPage(size: number, how: 'now' | 'late' | 'again'): void {
    this.#child?.latePageComes();
    if (this.state.backfill?.state === 'running') this.#child?.readPage(size, how, this.now);
  }

  /** Everything heals; whatever waits must come out in the end. */
  finishAll(): void {
    this.editEnd(null);
    this.editQuiet(null);
    this.editQuota(null);
    this.#child?.latePageComes();
    this.holders.heal();
    this.resume();
    this.operateBackfill('resume');
    for (let round = 0; ; round++) {
      must(round < 3000, 'what waits is sent in the end');
      // One that was stopping took no edit.
      if (this.state.job.definition.quota !== null) this.editQuota(null);
      this.pump();
      this.runAgain();
      // What the slice of a dead worker had come to may be a reason to pause.
      if (this.state.pause !== undefined) this.resume();
      // A sample may have been out only now.
      if (this.state.backfill?.pace.paused !== undefined) this.operateBackfill('resume');
      this.readPage(2, 'now');
      this.readHolder();
      const { waiting, state } = describeJob(this.state, 'model', this.now);
      const isAllRead = this.state.unreadable === undefined;
      const isReading = this.state.backfill?.expectsPages === true;
      if (
        waiting === 0 &&
        state !== 'stopping' &&
        state !== 'stopped' &&
        this.holders.isQuiet &&
        !isReading &&
        isAllRead
      )
        return;
      while (this.running.size > 0) this.endSlice(0, ['ok'], false);
      for (let i = 0; i < 20 && !this.holders.isQuiet; i++) this.endHolderActivity(0, 'done');
      this.pass(60_000);
    }
  }

  check(): void {
    must(permitsInUse(this.state) <= this.#cap, 'never more permits in use than the job owns');
    const people = [...this.running.values()].flatMap(({ triggers }) => [...new Set(triggers.map(({ user }) => user))]);
    must(new Set(people).size === people.length, 'a person is in one slice at most');
    this.#dead.check(this.state, people, this.now);
    const waiting = whereTriggersWait(this.state, this.holders);
    for (const user of this.ledger.people) this.ledger.check(user, waiting(user));
    const { oldestWaitingAt, mayStillSend } = describeJob(this.state, 'model', this.now);
    const mayStart = [...this.running.keys()].some((id) => !this.#quiet.has(id));
    must(!sendsNothing(this.state) || !mayStart || mayStillSend === true, 'a pause is done when no request can start');
    const members = new Set([...this.membership.keys()].map((who) => who.split(' ')[0] ?? ''));
    const { chains, overflow } = this.state;
    const isFound = (user: string) =>
      chains.get(user)?.triggers.some(({ backfill }) => backfill !== undefined) === true;
    const isExact = overflow.holders === 0 && ![...members].some(isFound);
    this.ledger.checkOldest(oldestWaitingAt, waiting, isExact);
    const { endsAt } = this.state.job.definition;
    must(
      endsAt === null || this.state.stopping !== undefined || Date.parse(endsAt) > this.now,
      'a job whose end has come is stopping',
    );
    must((this.state.counters.filtered ?? 0) === this.#filtered, 'what is not wanted is counted, once');
    const { backfill } = this.state;
    const { enters, exits } = backfill?.instead.difference ?? { enters: 1, exits: 0 };
    if (backfill?.isUnfinished === true)
      must(
        (enters === 0 || this.#isWanted('enter')) && (exits === 0 || this.#isWanted('exit')),
        'only a job that sends what a backfill sends has one',
      );
    checkBookkeeping(this.state);
    checkBackfill(this.state, members);
  }

  checkEnd(): void {
    this.ledger.checkEnd();
    for (const [who, event] of this.ledger.lastWords())
      must(
        this.#unwanted.has(who) || (event === 'enter') === this.membership.get(who),
        `${who} was told last as ${event}`,
      );
    const { chains, overflow } = this.state;
    must(chains.triggers === 0 && chains.bytes === 0, 'nothing is left, and nothing is counted');
    must(overflow.isEmpty && overflow.bytes === 0, 'nothing is left outside');
    must(this.holders.count === 0, 'no holder is left behind');
    const { backfill } = this.state;
    if (backfill?.state === 'finished')
      must(backfill.counts.taken === this.#child?.shown, 'every member whom the source showed was taken, once');
    else must(backfill?.state !== 'running', 'a backfill comes to its end');
  }

  /** A job that has delivered all of them goes on with nothing. */
  #resumed(): DispatcherState {
    const { chains, overflow, backfill, stopping } = this.state;
    must(stopping?.waiting !== 'keep', 'a job that keeps what waits does not end');
    must(chains.triggers === 0 && overflow.isEmpty, 'a job that delivers does not end before all is delivered');
    must(backfill?.isUnfinished !== true, 'nor before its backfill is through');
    const { stopping: _, ...carried } = carryJob(this.state);
    return restoreJob(carried);
  }

  get #isBusy(): boolean {
    return this.holders.isBusy;
  }

  #admit(raw: object, event: TriggerEvent): string | undefined {
    return admit(this.state, raw, event, this.now);
  }

  /** What the job's answers decided is so: given up is dead, to be tried again is not. */
  #checkAnswers({ triggers }: SliceInput, { failed }: SliceReport): void {
    for (const { index, as } of failed) {
      const { user = '', at } = triggers[index] ?? {};
      const isDead = this.state.deadLetters.count((dead) => dead.user === user && dead.trigger.at === at) > 0;
      // An enter of a backfill goes back first, behind what was signalled meanwhile.
      // It has the time of its backfill, which may be an earlier one; only the job writes times like that.
      const isBackfill = at?.endsWith('+00:00') === true;
      if (as === 'given-up') must(isDead || isBackfill, 'what its answers give up is a dead letter at once');
      if (as === 'pausing') must(!isDead, 'where its answers have it pause, nothing is given up');
    }
  }

  /** A person who failed once more than before is tried again when the job says, and no more often than it says. */
  #checkRetries(failures: ReadonlyMap<string, number>): void {
    const delays = retryDelaysMs(this.state.job.definition.retryFor);
    for (const [user, before] of failures) {
      const chain = this.state.chains.get(user);
      if (chain?.failures !== before + 1 || chain.place !== 'delayed') continue;
      const share = (chain.notBefore - this.now) / (delays[before] ?? delays[0] ?? 0);
      must(share > 0.79 && share < 1.21, 'a trigger is tried again as the job says');
    }
  }

  #isSent(event: string): boolean {
    return this.#isWanted(event) && !drops(this.state, this.now);
  }

  #isWanted(event: string): boolean {
    const { events } = this.state.job.definition;
    return events === null || events.some((one) => one === event);
  }

  #subscribesTo(audience: string): boolean {
    return this.state.job.audiences.some(({ id }) => id === audience);
  }

  #takeSlice(slice: SliceInput): void {
    this.#batches.dispatched(this.state, slice);
    this.running.set(slice.sliceId, slice);
    checkQuiet(this.state, slice, this.now);
    this.#quota.dispatched(this.state, slice, this.now);
    this.#starts.dispatched(slice, this.now);
    must(slice.triggers.length > 0 && slice.permits > 0, 'a slice has work and a permit');
    // The record of attempts is not counted: where a slice ends must not depend on it.
    const counted = slice.triggers.map(
      ({ member: _member, attempts: _attempts, superseded: _superseded, ...trigger }) => trigger,
    );
    const { triggers } = packSlice({ ...slice, triggers: counted });
    must(
      JSON.stringify(triggers).length <= this.state.budgets.sliceBytes || triggers.length === 1,
      'a slice keeps its bytes',
    );
  }

  #explain(slice: SliceInput, index: number): void {
    const trigger = slice.triggers[index];
    if (trigger !== undefined) this.ledger.explain(trigger);
  }

  #pageAnswered(answer: PageTaken): void {
    const { backfill } = this.state;
    if (answer.gone === true) must(backfill?.isOf(answer.n) !== true, 'no page of a backfill that goes on is unwanted');
    else if (answer.n === backfill?.n) this.#child?.answered(answer);
  }
}

function isHolderStep(step: Step): step is Parameters<ModelHolders['begin']>[0] {
  return ['spill', 'load', 'drop', 'keep-dead-letters'].includes(step.kind);
}

/** What the last heartbeat of a slice said: it knew of the first half. */
function lastHeard(
  { failed, halved }: SliceReport,
  delivered: readonly number[],
): { readonly known: readonly number[]; readonly progress: SliceProgress } {
  const settled = [...delivered, ...failed.map(({ index }) => index)].sort((a, b) => a - b);
  const heard = new Set(settled.slice(0, settled.length >> 1));
  const known = delivered.filter((place) => heard.has(place));
  return {
    known,
    progress: {
      delivered: known.map((place) => [place, place]),
      failed: failed.filter(({ index }) => heard.has(index)),
      ...(halved === undefined ? {} : { halved: halved.filter(([place]) => heard.has(place)) }),
    },
  };
}
