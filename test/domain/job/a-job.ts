import type { Alert } from '../../../src/contract/alert.ts';
import type { MemberPage } from '../../../src/contract/backfill.ts';
import type { AddressedAnswer } from '../../../src/contract/dead-letter.ts';
import type { PackedTriggers } from '../../../src/contract/holder.ts';
import type { JobStatus } from '../../../src/contract/job-status.ts';
import type { JobDefinition } from '../../../src/contract/export-job.ts';
import type { FailedAttempt, SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import {
  admit,
  admitPage,
  admitRedelivery,
  answersGone,
  remembersBeforeReplay,
} from '../../../src/domain/job/arriving.ts';
import { Breaker } from '../../../src/domain/job/throttles/breaker.ts';
import { nextStep } from '../../../src/domain/job/deciding.ts';
import type { Step } from '../../../src/domain/job/steps.ts';
import type { RunFacts } from '../../../src/domain/job/run-end.ts';
import { describeJob } from '../../../src/domain/job/describing.ts';
import type { DeadTrigger } from '../../../src/domain/job/queue/pending-dead-letters.ts';
import { holderRead, holdersDropped } from '../../../src/domain/job/holders.ts';
import { applyEdit, beginBackfill } from '../../../src/domain/job/operating.ts';
import { settleSlice } from '../../../src/domain/job/settling.ts';
import { beginJob, carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import type { JobRecord } from '../../../src/domain/job/job.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { AUDIENCES, jobRecord } from './a-record.ts';

const A = AUDIENCES[0]?.id ?? '';

/**
 * A job without a world: a test says what happens, one thing after another, and sees what the job would do. Its endpoint has taken requests
 * before; what comes before the first one is in `new-endpoint.test.ts`.
 */
export class AJob {
  state: DispatcherState;
  now = Date.UTC(2026, 0, 1);
  /** Slices in flight, oldest first. */
  readonly running: SliceInput[] = [];
  /** What its holders keep, by name. */
  readonly holders = new Map<string, PackedTriggers>();
  /** Its dead letters, oldest first. */
  readonly dead: DeadTrigger[] = [];
  /** What dead letters were told, oldest first. */
  readonly answered: AddressedAnswer[] = [];
  /** What its operators were told, oldest first. */
  readonly alerts: Alert[] = [];
  #facts: Partial<RunFacts> = {};

  constructor(parallelRequestCount = 1, change: Partial<JobRecord> = {}) {
    this.state = beginJob({ ...jobRecord(parallelRequestCount), ...change }, 7);
    this.state.breaker = new Breaker();
  }

  signal(user: string, event: TriggerEvent = 'enter', more: object = {}): string | undefined {
    return admit(this.state, { user, audience: 'a', ...more }, event, this.now);
  }

  signals(...users: readonly string[]): this {
    for (const user of users) this.signal(user);
    return this;
  }

  /** Cuts a slice for each of them. */
  dispatchEach(users: readonly string[]): void {
    for (const user of users) {
      this.signal(user);
      this.dispatch();
    }
  }

  /** A dead letter asks the job to take it. */
  redeliver(trigger: object, more: object = {}): string | undefined {
    const asking = { workflowId: 'dead-letter-1', runId: 'a run', question: 1 };
    const { subscriptionId } = this.state.job;
    return admitRedelivery(this.state, { subscriptionId, asking, user: '1', trigger, ...more }, this.now);
  }

  facts(facts: Partial<RunFacts>): this {
    this.#facts = facts;
    return this;
  }

  /** The next step that is about sending; what goes to other workflows is done at once. */
  step(): Step {
    for (;;) {
      const step = this.rawStep();
      if (!this.carryOut(step)) return step;
    }
  }

  /** The next step, whatever it is about, and not carried out but for the note that a slice runs. */
  rawStep(): Step {
    const calm = {
      signals: 0,
      events: 0,
      historyBytes: 0,
      ageMs: 60_000,
      continueSuggested: false,
      busy: false,
      atHolders: false,
    };
    const step = nextStep(this.state, this.now, { ...calm, ...this.#facts });
    if (step.kind === 'deliver') this.running.push(step.slice);
    return step;
  }

  /** Does at once what goes to other workflows; false for any other step. */
  protected carryOut(step: Step): boolean {
    if (step.kind !== 'read-calendar') this.state.underWay.delete(step.kind);
    switch (step.kind) {
      case 'spill':
        this.holders.set(String(step.number), step.content);
        this.state.overflow.confirm(step.number);
        return true;
      case 'load':
        holderRead(this.state, step.number, this.holders.get(String(step.number)) ?? null, this.now);
        return true;
      case 'drop':
        for (const name of step.holders) this.holders.delete(name);
        holdersDropped(this.state, step.holders);
        return true;
      case 'keep-dead-letters':
        this.dead.push(...step.letters.values());
        this.state.deadLetters.confirm(step.letters.keys());
        this.state.counters.deadLetters += step.letters.size;
        return true;
      case 'answer-letters':
        this.answered.push(...step.answers);
        answersGone(this.state, step.answers);
        return true;
      case 'raise-alerts':
        this.alerts.push(...step.alerts);
        this.state.alerts.confirm(step.alerts);
        return true;
      default:
        return false;
    }
  }

  /** Does all there is to do now; the slices that it dispatched. */
  dispatch(): SliceInput[] {
    const slices: SliceInput[] = [];
    for (let step = this.step(); step.kind !== 'wait'; step = this.step()) {
      if (step.kind === 'deliver') slices.push(step.slice);
      if (step.kind === 'continue-as-new' || step.kind === 'finish') throw new Error(`The job wants to ${step.kind}.`);
    }
    return slices;
  }

  /** What the job does now, by person. */
  dispatchedUsers(): string[][] {
    return this.dispatch().map((slice) => slice.triggers.map(({ user }) => user));
  }

  /** Who is told what by the slices that it dispatches now. */
  dispatchedMessages(): string[] {
    const { audiences } = this.state.job;
    const slugOf = (id: string) => audiences.find((one) => one.id === id)?.slug ?? id;
    return this.dispatch().flatMap(({ triggers }) =>
      triggers.map(({ user, event, audience }) => `${user} ${event} ${slugOf(audience)}`),
    );
  }

  /** The oldest slice ends, every trigger delivered but those that are named. */
  end(failed: Record<number, Partial<FailedAttempt>> = {}, unsent: number[] = []): void {
    const slice = this.running.shift();
    if (slice === undefined) throw new Error('No slice runs.');
    const report: SliceReport = {
      failed: Object.entries(failed).map(([index, attempt]) => ({ index: Number(index), durationMs: 1, ...attempt })),
      unsent,
      sendingMs: 10,
    };
    settleSlice(this.state, slice.sliceId, report, this.now);
  }

  /** Dispatches what may be sent now, and ends the oldest slice so. */
  send(failed: Record<number, Partial<FailedAttempt>> = {}, unsent: number[] = []): void {
    this.dispatch();
    this.end(failed, unsent);
  }

  /** All slices that run end, every trigger delivered. */
  endAll(): void {
    while (this.running.length > 0) this.end();
  }

  /** All slices that run end, and every trigger fails so. */
  failAll(attempt: Partial<FailedAttempt>): void {
    for (let [slice] = this.running; slice !== undefined; [slice] = this.running)
      this.end(Object.fromEntries(slice.triggers.map((_, index) => [index, attempt])));
  }

  /** Delivers all that may be sent now; who was told what, in order. */
  sendAll(): string[] {
    const sent = this.dispatchedMessages();
    while (this.running.length > 0) {
      this.endAll();
      sent.push(...this.dispatchedMessages());
    }
    return sent;
  }

  /** Sends what is ready, slice by slice, and every first trigger fails so. */
  fail(attempt: Partial<FailedAttempt>): void {
    this.dispatch();
    while (this.running.length > 0) this.end({ 0: attempt });
  }

  /** How long the job would wait from now, in ms; undefined when nothing is due. */
  get waitsMs(): number | undefined {
    const step = this.step();
    if (step.kind !== 'wait') throw new Error(`The job does not wait: ${step.kind}.`);
    return step.until === undefined ? undefined : step.until - this.now;
  }

  backfill(ids: string[], { sample, ...page }: Partial<MemberPage> & { sample?: number | undefined } = {}): void {
    beginBackfill(this.state, [A], this.now, { sample });
    this.page(1, ids, page);
  }

  /** Edits its definition, and what else is in its record; an edit brings its own calendar. */
  edit(definition: Partial<JobDefinition>, more: Partial<JobRecord> = {}): void {
    const { calendar: _, ...job } = this.state.job;
    const edited = { ...job, ...more, revision: job.revision + 1, definition: { ...job.definition, ...definition } };
    applyEdit(this.state, edited, this.now);
  }

  /** Continues as new. */
  nextRun(): void {
    this.state = restoreJob(structuredClone(carryJob(this.state)));
  }

  page(number: number, ids: string[], more: Partial<MemberPage> = {}): void {
    const { subscriptionId } = this.state.job;
    const n = this.state.backfill?.n ?? 0;
    const page = { subscriptionId, n, number, audience: A, readAt: this.now, ids, last: true, ...more };
    admitPage(this.state, page, this.now, remembersBeforeReplay(this.state));
  }

  get status(): JobStatus {
    return describeJob(this.state, 'a-job', this.now);
  }
}
