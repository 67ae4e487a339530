import type { MemberPage, PageTaken } from '../../../src/contract/backfill.ts';
import type { SliceInput } from '../../../src/contract/slice.ts';
import { admit, admitPage, tidyMemory } from '../../../src/domain/dispatcher/arriving.ts';
import type { CarriedJob } from '../../../src/domain/dispatcher/carried.ts';
import { nextStep } from '../../../src/domain/dispatcher/deciding.ts';
import {
  beginJob,
  carryJob,
  type JobState,
  permitsInUse,
  restoreJob,
} from '../../../src/domain/dispatcher/job-state.ts';
import {
  applyEdit,
  backfillObstacle,
  beginBackfill,
  pauseJob,
  resumeJob,
} from '../../../src/domain/dispatcher/operating.ts';
import { loseSlice, returnPermits, settleSlice } from '../../../src/domain/dispatcher/settling.ts';
import type { RunFacts } from '../../../src/domain/dispatcher/steps.ts';
import { AUDIENCES, jobRecord } from './a-record.ts';
import { ModelChild } from './model-child.ts';
import { type Answer, answerSlice } from './model-endpoint.ts';

const A = 'a'.repeat(32);

interface Delivery {
  readonly user: string;
  readonly audience: string;
  readonly event: string;
  readonly at: string;
}

/** What a broken rule looks like. */
export class BrokenPromise extends Error {}

function must(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new BrokenPromise(promise);
}

/**
 * A world around the dispatcher: it signals, answers, crashes and lets time pass, and after every step holds the promises against
 * what it knows itself.
 */
export class DispatcherWorld {
  state: JobState;
  now = Date.UTC(2026, 0, 1);
  readonly running = new Map<number, SliceInput>();
  readonly delivered: Delivery[] = [];
  /** Live triggers in the order in which they were accepted, by person. */
  readonly #accepted = new Map<string, string[]>();
  readonly #deliveredKeys = new Map<string, number>();
  /** Deliveries that a lost slice may have made without our knowing. */
  readonly #explained = new Set<string>();
  #child: ModelChild | undefined;
  /** Who is a member now, by the source. */
  readonly membership = new Map<string, boolean>();
  // Far from 0, so that no trigger looks like an enter of a backfill, whose time the job settles at a whole ms.
  #sequence = 100_000;
  #cap: number;

  constructor(parallel: number) {
    this.state = beginJob(jobRecord(parallel), 7);
    this.#cap = parallel;
  }

  signal(user: string, audience: 'a' | 'b', event: 'enter' | 'exit', profileBytes = 0): void {
    const at = new Date(this.now).toISOString().replace('Z', String(this.#sequence++).padStart(6, '0') + 'Z');
    const profile = profileBytes > 0 ? { text: 'x'.repeat(profileBytes) } : undefined;
    const isHonest = this.#listensTo(audience.repeat(32));
    const refusal = admit(
      this.state,
      { user, audience, at, ...(profile === undefined ? {} : { profile }) },
      event,
      this.now,
    );
    must((refusal === undefined) === isHonest, `an honest trigger is accepted, no other (${refusal})`);
    // Nothing changes in this world that nobody may speak of.
    if (!isHonest) return;
    const id = audience.repeat(32);
    this.membership.set(`${user} ${id}`, event === 'enter');
    this.#accepted.set(user, [...(this.#accepted.get(user) ?? []), key({ user, audience: id, event, at })]);
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
        busy: false,
        ...facts,
      });
      if (step.kind === 'wait') {
        this.#checkHonestWait(step.until);
        return;
      }
      if (step.kind === 'deliver') this.#takeSlice(step.slice);
      if (step.kind === 'answer-page') this.#pageAnswered(step.answer);
      if (step.kind === 'continue-as-new') {
        this.continueAsNew();
        return;
      }
      must(step.kind !== 'finish', 'a job that nobody stopped does not finish');
    }
  }

  continueAsNew(): void {
    if (this.state.slices.size > 0) return;
    const carried = JSON.parse(JSON.stringify(carryJob(this.state))) as CarriedJob;
    this.state = restoreJob(carried);
  }

  /** A running slice ends; `answers` are drawn for its triggers in turn. */
  endSlice(which: number, answers: readonly Answer[], lost: boolean): void {
    const ids = [...this.running.keys()];
    const id = ids[which % Math.max(1, ids.length)];
    const slice = id === undefined ? undefined : this.running.get(id);
    if (id === undefined || slice === undefined) return;
    this.running.delete(id);
    const { report, delivered } = answerSlice(slice, answers);
    for (const trigger of slice.triggers.filter((_, index) => delivered.includes(index))) this.#deliver(trigger);
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

  pause(): void {
    pauseJob(this.state);
  }

  resume(): void {
    resumeJob(this.state);
  }

  editParallel(parallel: number): void {
    this.#cap = Math.max(parallel, permitsInUse(this.state));
    const { job } = this.state;
    applyEdit(this.state, {
      ...job,
      revision: job.revision + 1,
      definition: { ...job.definition, parallelRequestCount: parallel },
    });
  }

  /** Takes audience a out, or in again. */
  editAudiences(withA: boolean): void {
    const { job } = this.state;
    applyEdit(this.state, {
      ...job,
      revision: job.revision + 1,
      audiences: withA ? AUDIENCES : AUDIENCES.slice(1),
      formerAudiences: withA ? [] : AUDIENCES.slice(0, 1),
    });
  }

  editUrl(n: number): void {
    const { job } = this.state;
    applyEdit(this.state, {
      ...job,
      revision: job.revision + 1,
      definition: { ...job.definition, webhookUrl: `https://example.com/${n}` },
    });
  }

  /** Asks for a backfill of audience a, if one may begin; what its child reads is up to `readPage`. */
  backfill(): void {
    if (backfillObstacle(this.state) !== undefined || !this.#listensTo(A)) return;
    this.#child?.latePageComes();
    beginBackfill(this.state, [A], undefined, this.now);
    const isIn = (user: string) => this.membership.get(`${user} ${A}`) === true;
    const members = [...this.membership.keys()].filter((who) => who.endsWith(A)).map((who) => who.split(' ')[0] ?? '');
    const deliver = (page: MemberPage) => void admitPage(this.state, page, this.now);
    const ofBackfill = { subscriptionId: this.state.job.subscriptionId, n: this.state.backfill?.n ?? 0, audience: A };
    this.#child = new ModelChild(ofBackfill, members.filter(isIn), { isIn, deliver });
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
    for (let round = 0; ; round++) {
      must(round < 3000, 'what waits is sent in the end');
      this.pump();
      if (
        this.running.size === 0 &&
        this.state.chains.triggers === 0 &&
        (this.state.backfill?.waitingInPages ?? 0) === 0
      )
        return;
      while (this.running.size > 0) this.endSlice(0, ['ok'], false);
      this.pass(60_000);
    }
  }

  check(): void {
    must(permitsInUse(this.state) <= this.#cap, 'never more permits in use than the job owns');
    const people = [...this.running.values()].flatMap(({ triggers }) => [...new Set(triggers.map(({ user }) => user))]);
    must(new Set(people).size === people.length, 'a person is in one slice at most');
    for (const [user, accepted] of this.#accepted) {
      const waiting = (this.state.chains.get(user)?.triggers ?? [])
        .filter(({ backfill }) => backfill === undefined)
        .map((trigger) => key({ user, ...trigger }));
      const gone = accepted.filter((one) => this.#deliveredKeys.has(one) && !waiting.includes(one));
      must(
        gone.length + waiting.length === accepted.length,
        `every accepted trigger of ${user} is waiting or delivered, once`,
      );
      must(
        waiting.join() === accepted.filter((one) => waiting.includes(one)).join(),
        `what waits for ${user} stands in the order of arrival`,
      );
    }
    must(this.state.chains.bytes >= 0, 'bytes are counted');
    this.#checkBackfill();
  }

  /** What the present backfill says of itself adds up. */
  #checkBackfill(): void {
    const { backfill } = this.state;
    if (backfill === undefined) return;
    const { taken, delivered, superseded, waiting, state } = backfill.status((id) => id);
    must(waiting >= backfill.waitingInPages && superseded >= 0, 'a backfill counts nothing twice');
    must(state !== 'finished' || taken === delivered + superseded, 'a finished backfill accounts for every member');
    const chained = [...new Set([...this.membership.keys()].map((who) => who.split(' ')[0] ?? ''))].flatMap(
      (user) => this.state.chains.get(user)?.triggers ?? [],
    );
    const inChains = chained.filter((trigger) => trigger.backfill === backfill.n).length;
    must(waiting === backfill.waitingInPages + inChains, 'a backfill knows what of it waits');
  }

  checkEnd(): void {
    for (const [user, accepted] of this.#accepted) {
      const live = new Set(accepted);
      const firsts = [...new Set(this.delivered.filter((one) => one.user === user).map(key))].filter((one) =>
        live.has(one),
      );
      must(firsts.join() === accepted.join(), `${user}: everything arrived, in the order of signalling`);
    }
    for (const [one, times] of this.#deliveredKeys)
      must(times === 1 || this.#explained.has(one), `${one} arrived ${times} times for no reason`);
    this.#checkLastWord();
    must(this.state.chains.triggers === 0 && this.state.chains.bytes === 0, 'nothing is left, and nothing is counted');
  }

  /** What an endpoint was told last about a person and audience a is true. */
  #checkLastWord(): void {
    const last = new Map<string, string>();
    for (const { user, audience, event } of this.delivered) last.set(`${user} ${audience}`, event);
    for (const [who, event] of last)
      must((event === 'enter') === this.membership.get(who), `${who} was told last as ${event}`);
  }

  #listensTo(audience: string): boolean {
    return this.state.job.audiences.some(({ id }) => id === audience);
  }

  #takeSlice(slice: SliceInput): void {
    this.running.set(slice.sliceId, slice);
    must(slice.triggers.length > 0 && slice.permits > 0, 'a slice has work and a permit');
    must(
      JSON.stringify(slice.triggers).length <= this.state.budgets.sliceBytes || slice.triggers.length === 1,
      'a slice keeps its bytes',
    );
  }

  #deliver(trigger: Delivery): void {
    this.delivered.push(trigger);
    this.#deliveredKeys.set(key(trigger), (this.#deliveredKeys.get(key(trigger)) ?? 0) + 1);
  }

  #explain(slice: SliceInput, index: number): void {
    const trigger = slice.triggers[index];
    if (trigger !== undefined) this.#explained.add(key(trigger));
  }

  #pageAnswered(answer: PageTaken): void {
    const { backfill } = this.state;
    if (answer.gone === true) must(backfill?.isOf(answer.n) !== true, 'no page of a backfill that goes on is unwanted');
    else if (answer.n === backfill?.n) this.#child?.answered(answer);
  }

  #checkHonestWait(until: number | undefined): void {
    const waits = this.state.chains.triggers > 0 && this.state.pause === undefined && this.running.size === 0;
    must(!waits || until !== undefined, 'a job with work and nothing running knows when it goes on');
    must(until === undefined || until > this.now, 'a wait is for a time to come');
  }
}

function key({ user, audience, event, at }: Delivery): string {
  return `${user} ${audience} ${event} ${at}`;
}
