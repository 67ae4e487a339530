import type { MemberPage, PageTaken } from '../../../src/contract/backfill.ts';
import type { SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import { admit, admitPage, admitRedelivery, tidyMemory } from '../../../src/domain/dispatcher/arriving.ts';
import type { CarriedJob } from '../../../src/domain/dispatcher/carried.ts';
import type { JobRecord } from '../../../src/domain/dispatcher/job-record.ts';
import { nextStep } from '../../../src/domain/dispatcher/deciding.ts';
import { describeJob } from '../../../src/domain/dispatcher/describing.ts';
import {
  beginJob,
  carryJob,
  estimateBytes,
  type JobState,
  permitsInUse,
  restoreJob,
} from '../../../src/domain/dispatcher/job-state.ts';
import {
  applyEdit,
  backfillObstacle,
  beginBackfill,
  operateBackfill,
  pauseJob,
  resumeJob,
  stopJob,
} from '../../../src/domain/dispatcher/operating.ts';
import { recoverJob } from '../../../src/domain/dispatcher/recovering.ts';
import { loseSlice, returnPermits, settleSlice } from '../../../src/domain/dispatcher/settling.ts';
import type { RunFacts, Step } from '../../../src/domain/dispatcher/steps.ts';
import { budgetsOf, DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';
import { packSlice } from '../../../src/domain/packed-slice.ts';
import { AUDIENCES, jobRecord } from './a-record.ts';
import { ModelChild } from './model-child.ts';
import { type Answer, answerSlice } from './model-endpoint.ts';
import { checkBackfill, checkBookkeeping, checkHonestWait } from './model-bookkeeping.ts';
import { type End, ModelHolders } from './model-holders.ts';
import { ModelKeeping } from './model-keeping.ts';
import { ModelLedger, must } from './model-ledger.ts';
import { whereTriggersWait } from './model-waiting.ts';

const A = 'a'.repeat(32);
/** So small that a handful of triggers is more than a job holds in its own state. */
const SMALL_LIMITS = { ...DEFAULT_SERVER_LIMITS, payloadBytes: 16 * 1024 };

/**
 * A world around the dispatcher: it signals, answers, crashes and lets time pass, and after every step holds the promises against
 * what it knows itself.
 */
export class DispatcherWorld {
  state: JobState;
  now = Date.UTC(2026, 0, 1);
  readonly running = new Map<number, SliceInput>();
  readonly ledger = new ModelLedger(budgetsOf(SMALL_LIMITS).rememberedDeliveries);
  readonly holders = new ModelHolders(this.ledger);
  readonly #keeping = new ModelKeeping();
  #child: ModelChild | undefined;
  /** Who is a member now, by the source. */
  readonly membership = new Map<string, boolean>();
  // Far from 0, so that no trigger looks like an enter of a backfill, whose time the job settles at a whole ms.
  #sequence = 100_000;
  #cap: number;

  readonly #tailBytes: number;

  /** @param tailBytes what may wait behind the chains while the job sends on: with none, more goes through holders. */
  constructor(parallel: number, tailBytes: number) {
    this.#tailBytes = tailBytes;
    this.state = this.#withTail(beginJob({ ...jobRecord(parallel), serverLimits: SMALL_LIMITS }, 7));
    this.#cap = parallel;
  }

  #withTail(state: JobState): JobState {
    return { ...state, budgets: { ...state.budgets, tailBytes: this.#tailBytes } };
  }

  signal(user: string, audience: 'a' | 'b', event: 'enter' | 'exit', profileBytes = 0): void {
    const at = new Date(this.now).toISOString().replace('Z', String(this.#sequence++).padStart(6, '0') + 'Z');
    const profile = profileBytes > 0 ? { text: 'x'.repeat(profileBytes) } : undefined;
    const id = audience.repeat(32);
    const isHonest = this.#listensTo(id);
    const refusal = this.#admit({ user, audience, at, ...(profile === undefined ? {} : { profile }) }, event);
    must((refusal === undefined) === isHonest, `an honest trigger is accepted, no other (${refusal})`);
    // Nothing changes in this world that nobody may speak of.
    if (!isHonest) return;
    this.membership.set(`${user} ${id}`, event === 'enter');
    this.ledger.accept({ user, audience: id, event, at });
  }

  /** An upstream says again what it said before, since it did not hear that it was accepted. */
  signalAgain(user: string, which: number): void {
    const [, audience = '', event = '', at = ''] = this.ledger.repeat(user, which)?.split(' ') ?? [];
    if (this.#listensTo(audience)) this.#admit({ user, audience, at }, event === 'enter' ? 'enter' : 'exit');
  }

  /** Somebody lets a dead letter be sent after all. */
  redeliver(which: number): void {
    const dead = this.ledger.revive(which);
    if (dead === undefined) return;
    const { subscriptionId } = this.state.job;
    const trigger = { ...dead.trigger, redelivery: (dead.trigger.redelivery ?? 0) + 1 };
    const raw = JSON.parse(JSON.stringify({ subscriptionId, user: dead.user, trigger })) as unknown;
    must(admitRedelivery(this.state, raw, this.now) === undefined, 'a dead letter may come back');
  }

  /** An activity on its way to a holder or a dead letter ends. */
  endErrand(which: number, how: End): void {
    this.holders.end(this.state, which, how);
  }

  /** Acts until the dispatcher says wait. */
  pump(facts: Partial<RunFacts> = {}): void {
    for (let turn = 0; ; turn++) {
      must(turn < 10_000, 'the pump gets on');
      const step = nextStep(this.state, this.now, {
        signals: 0,
        events: 0,
        historyBytes: 0,
        continueSuggested: false,
        busy: this.#isBusy,
        ...facts,
      });
      if (step.kind === 'wait') {
        const isIdle = this.running.size === 0 && this.holders.isQuiet && !this.#keeping.isBusy;
        checkHonestWait(this.state, step.until, this.now, isIdle);
        return;
      }
      if (step.kind === 'deliver') this.#takeSlice(step.slice);
      if (step.kind === 'answer-page') this.#pageAnswered(step.answer);
      if (isHolderStep(step)) this.holders.begin(step);
      if (step.kind === 'continue-as-new') {
        this.continueAsNew();
        return;
      }
      if (step.kind === 'keep-job') this.#keeping.begin(this.state, step.changes);
      if (step.kind === 'finish') {
        must(this.state.stopping !== undefined, 'a job that nobody stopped does not finish');
        this.holders.endRun(false);
        this.state = this.#withTail(this.#keeping.resume());
      }
    }
  }

  /** @param happens whether what was under way happens all the same. */
  continueAsNew(happens = false): void {
    if (this.state.slices.size > 0 || this.#isBusy) return;
    const carried = JSON.stringify(carryJob(this.state));
    must(carried.length <= estimateBytes(this.state), 'a state is never larger than it is estimated');
    // The job itself waits as long as what is on its way to holders, or is to go there, does not fit.
    const isShrinking = !this.holders.isQuiet || this.state.overflow.surplusBytes > 0;
    if (carried.length > this.state.budgets.carryBytes && isShrinking) return;
    must(carried.length <= this.state.budgets.carryBytes, 'a state is never too large to be carried');
    this.holders.endRun(happens);
    this.state = this.#withTail(restoreJob(JSON.parse(carried) as CarriedJob));
  }

  /**
   * The run is ended from outside, and the job recovered: of every other slice it is known how it ended.
   *
   * @param happens whether what was under way happens all the same.
   */
  terminate(answers: readonly Answer[], happens: boolean): void {
    const carried = JSON.parse(JSON.stringify(carryJob(this.state))) as CarriedJob;
    const reports: { slice: SliceInput; report: SliceReport }[] = [];
    for (const [index, slice] of [...this.running.values()].entries()) {
      const { report, delivered } = answerSlice(slice, answers);
      for (const trigger of slice.triggers.filter((_, place) => delivered.includes(place)))
        this.ledger.deliver(trigger);
      if (index % 2 === 0) reports.push({ slice, report });
      else for (const place of delivered) this.#explain(slice, place);
    }
    this.running.clear();
    this.holders.endRun(happens);
    this.#keeping.endRun();
    this.state = this.#withTail(recoverJob({ carried, reports, arrivals: [] }, false, this.now));
  }

  /** A running slice ends; `answers` are drawn for its triggers in turn. */
  endSlice(which: number, answers: readonly Answer[], lost: boolean): void {
    const ids = [...this.running.keys()];
    const id = ids[which % Math.max(1, ids.length)];
    const slice = id === undefined ? undefined : this.running.get(id);
    if (id === undefined || slice === undefined) return;
    this.running.delete(id);
    const { report, delivered } = answerSlice(slice, answers);
    for (const trigger of slice.triggers.filter((_, index) => delivered.includes(index))) this.ledger.deliver(trigger);
    if (lost) {
      // The last heartbeat knew of half of them.
      const known = new Set(delivered.slice(0, delivered.length >> 1));
      for (const index of delivered.slice(delivered.length >> 1)) this.#explain(slice, index);
      loseSlice(this.state, id, { delivered: known, failed: report.failed }, this.now);
    } else {
      settleSlice(this.state, id, report, this.now);
    }
  }

  returnPermits(which: number): void {
    const [id] = [...this.running.keys()].slice(which % Math.max(1, this.running.size));
    const slice = id === undefined ? undefined : this.state.slices.get(id);
    if (slice !== undefined) returnPermits(this.state, { sliceId: slice.id, left: Math.max(0, slice.permits - 1) });
  }

  pass(ms: number): void {
    this.now += ms;
    tidyMemory(this.state, this.now);
  }

  /** Somebody stops the job so that it keeps what waits; once it has ended it is resumed. */
  stopKeeping(): void {
    stopJob(this.state, 'keep');
  }

  endKeeping(): void {
    this.#keeping.end(this.state);
  }

  // A job that stops takes no edit and no pause.

  pause(): void {
    if (this.state.stopping === undefined) pauseJob(this.state);
  }

  resume(): void {
    resumeJob(this.state);
  }

  editParallel(parallel: number): void {
    if (this.state.stopping === undefined) this.#cap = Math.max(parallel, permitsInUse(this.state));
    this.#edit({ definition: { ...this.state.job.definition, parallelRequestCount: parallel } });
  }

  /** Takes audience a out, or in again. */
  editAudiences(withA: boolean): void {
    const [audiences, formerAudiences] = withA ? [AUDIENCES, []] : [AUDIENCES.slice(1), AUDIENCES.slice(0, 1)];
    this.#edit({ audiences, formerAudiences });
  }

  editUrl(n: number): void {
    this.#edit({ definition: { ...this.state.job.definition, webhookUrl: `https://example.com/${n}` } });
  }

  #edit(change: Partial<JobRecord>): void {
    const { job, stopping } = this.state;
    if (stopping === undefined) applyEdit(this.state, { ...job, revision: job.revision + 1, ...change });
  }

  /** Asks for a backfill of audience a, if one may begin; what its child reads is up to `readPage`. */
  backfill(sample?: number): void {
    if (backfillObstacle(this.state) !== undefined || !this.#listensTo(A)) return;
    this.#child?.latePageComes();
    beginBackfill(this.state, [A], this.now, { sample });
    const isIn = (user: string) => this.membership.get(`${user} ${A}`) === true;
    const members = [...this.membership.keys()].filter((who) => who.endsWith(A)).map((who) => who.split(' ')[0] ?? '');
    const deliver = (page: MemberPage) => void admitPage(this.state, page, this.now);
    const ofBackfill = { subscriptionId: this.state.job.subscriptionId, n: this.state.backfill?.n ?? 0, audience: A };
    this.#child = new ModelChild(ofBackfill, members.filter(isIn), { isIn, deliver });
  }

  operateBackfill(action: 'pause' | 'resume' | 'cancel'): void {
    operateBackfill(this.state, action);
  }

  /** An edit limits backfills, or lets them go. */
  editPace(backfillPerSecond: number | null, backfillParallelCount: number | null): void {
    this.#edit({ definition: { ...this.state.job.definition, backfillPerSecond, backfillParallelCount } });
  }

  /** The child reads its next page; its signal comes at once or late, and `again` also repeats one that came before. */
  readPage(size: number, how: 'now' | 'late' | 'again'): void {
    this.#child?.latePageComes();
    if (this.state.backfill?.state === 'running') this.#child?.readPage(size, how, this.now);
  }

  /** Everything heals; whatever waits must come out in the end. */
  finishAll(): void {
    this.#child?.latePageComes();
    this.resume();
    this.operateBackfill('resume');
    for (let round = 0; ; round++) {
      must(round < 3000, 'what waits is sent in the end');
      this.pump();
      this.endKeeping();
      // A sample may have been out only now.
      if (this.state.backfill?.pace.paused !== undefined) this.operateBackfill('resume');
      const { waiting, state } = describeJob(this.state, 'model', this.now);
      if (waiting === 0 && state !== 'stopping' && this.holders.isQuiet) return;
      while (this.running.size > 0) this.endSlice(0, ['ok'], false);
      for (let i = 0; i < 20 && !this.holders.isQuiet; i++) this.endErrand(0, 'done');
      this.pass(60_000);
    }
  }

  check(): void {
    must(permitsInUse(this.state) <= this.#cap, 'never more permits in use than the job owns');
    const people = [...this.running.values()].flatMap(({ triggers }) => [...new Set(triggers.map(({ user }) => user))]);
    must(new Set(people).size === people.length, 'a person is in one slice at most');
    const waiting = whereTriggersWait(this.state, this.holders);
    for (const user of this.ledger.people) this.ledger.check(user, waiting(user));
    checkBookkeeping(this.state);
    checkBackfill(this.state, new Set([...this.membership.keys()].map((who) => who.split(' ')[0] ?? '')));
  }

  checkEnd(): void {
    this.ledger.checkEnd();
    for (const [who, event] of this.ledger.lastWords())
      must((event === 'enter') === this.membership.get(who), `${who} was told last as ${event}`);
    const { chains, overflow } = this.state;
    must(chains.triggers === 0 && chains.bytes === 0, 'nothing is left, and nothing is counted');
    must(overflow.isEmpty && overflow.bytes === 0, 'nothing is left outside');
    must(this.holders.count === 0, 'no holder is left behind');
  }

  get #isBusy(): boolean {
    return this.holders.isBusy || this.#keeping.isBusy;
  }

  #admit(raw: object, event: TriggerEvent): string | undefined {
    return admit(this.state, raw, event, this.now);
  }

  #listensTo(audience: string): boolean {
    return this.state.job.audiences.some(({ id }) => id === audience);
  }

  #takeSlice(slice: SliceInput): void {
    this.running.set(slice.sliceId, slice);
    must(slice.triggers.length > 0 && slice.permits > 0, 'a slice has work and a permit');
    must(
      JSON.stringify(packSlice(slice).triggers).length <= this.state.budgets.sliceBytes || slice.triggers.length === 1,
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
  return ['hold', 'recall', 'release', 'keep-dead-letters'].includes(step.kind);
}
