import type { MemberPage } from '../../../src/contract/backfill.ts';
import type { FailedAttempt, SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import { admit, admitPage, tidyMemory } from '../../../src/domain/dispatcher/arriving.ts';
import type { CarriedJob, JobRecord } from '../../../src/domain/dispatcher/carried.ts';
import { nextStep } from '../../../src/domain/dispatcher/deciding.ts';
import {
  beginJob,
  carryJob,
  type JobState,
  permitsInUse,
  restoreJob,
} from '../../../src/domain/dispatcher/job-state.ts';
import { applyEdit, beginBackfill, pauseJob, resumeJob } from '../../../src/domain/dispatcher/operating.ts';
import { loseSlice, returnPermits, settleSlice } from '../../../src/domain/dispatcher/settling.ts';
import type { RunFacts } from '../../../src/domain/dispatcher/steps.ts';
import { DEFAULT_SERVER_LIMITS } from '../../../src/domain/limits.ts';

export const AUDIENCES = ['a', 'b'].map((letter) => ({
  id: letter.repeat(32),
  slug: letter,
  name: letter.toUpperCase(),
}));

export function jobRecord(parallelRequestCount: number): JobRecord {
  return {
    subscriptionId: '5'.repeat(32),
    revision: 1,
    definition: {
      label: 'model',
      audiences: AUDIENCES.map(({ slug }) => slug),
      webhookUrl: 'https://example.com/hook',
      authorization: null,
      exportFields: [],
      existingUsers: false,
      userLegacyMessageFormat: false,
      parallelRequestCount,
    },
    audiences: AUDIENCES,
    formerAudiences: [],
    sourceLagMs: 0,
    missingSearchAttributes: [],
    warnings: [],
    requestTimeoutMs: 15_000,
    serverLimits: DEFAULT_SERVER_LIMITS,
  };
}

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

/** How an endpoint answers one trigger in the model. */
export type Answer = 'ok' | 500 | 404 | 400 | 410 | 429 | 'source' | 'profile' | 'unsent';

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
  #members: string[] = [];
  #late: MemberPage | undefined;
  #pages: { page: MemberPage; answered: boolean }[] = [];
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
    const refusal = admit(
      this.state,
      { user, audience, at, ...(profile === undefined ? {} : { profile }) },
      event,
      this.now,
    );
    must(refusal === undefined, `an honest trigger is accepted (${refusal})`);
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
      if (step.kind === 'answer-page') this.#pageAnswered(step.answer.number, step.answer.readAgain === true);
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
    const { report, delivered } = this.#answer(slice, answers);
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

  editUrl(n: number): void {
    const { job } = this.state;
    applyEdit(this.state, {
      ...job,
      revision: job.revision + 1,
      definition: { ...job.definition, webhookUrl: `https://example.com/${n}` },
    });
  }

  /** Asks for a backfill of audience a and plays its child: reads one page at a time. */
  backfill(): void {
    if (this.state.backfill?.state === 'running') return;
    beginBackfill(this.state, ['a'.repeat(32)], undefined, this.now);
    this.#members = [...this.membership]
      .filter(([, isIn]) => isIn)
      .map(([who]) => who)
      .filter((who) => who.endsWith('a'.repeat(32)))
      .map((who) => who.split(' ')[0] ?? '');
    this.#pages = [];
  }

  /** The child reads its next page; its signal comes at once or late, and `again` also repeats one that came before. */
  readPage(size: number, how: 'now' | 'late' | 'again'): void {
    this.#latePageComes();
    const { backfill, job } = this.state;
    if (backfill?.state !== 'running') return;
    const repeated = this.#pages.find(({ answered }) => !answered) ?? this.#pages.at(-1);
    if (how === 'again' && repeated !== undefined) admitPage(this.state, repeated.page, this.now);
    if (this.#pages.at(-1)?.page.last === true || this.#pages.filter(({ answered }) => !answered).length >= 4) return;
    const ids = this.#members
      .splice(0, size)
      .filter((user) => this.membership.get(`${user} ${'a'.repeat(32)}`) === true);
    const page: MemberPage = {
      subscriptionId: job.subscriptionId,
      n: backfill.n,
      number: this.#pages.length + 1,
      audience: 'a'.repeat(32),
      readAt: this.now,
      ids,
      last: this.#members.length === 0,
    };
    this.#pages.push({ page, answered: false });
    if (how === 'late') this.#late = page;
    else admitPage(this.state, page, this.now);
  }

  #latePageComes(): void {
    if (this.#late !== undefined) admitPage(this.state, this.#late, this.now);
    this.#late = undefined;
  }

  /** Everything heals; whatever waits must come out in the end. */
  finishAll(): void {
    this.#latePageComes();
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

  #takeSlice(slice: SliceInput): void {
    this.running.set(slice.sliceId, slice);
    must(slice.triggers.length > 0 && slice.permits > 0, 'a slice has work and a permit');
    must(
      JSON.stringify(slice.triggers).length <= this.state.budgets.sliceBytes || slice.triggers.length === 1,
      'a slice keeps its bytes',
    );
  }

  #answer(slice: SliceInput, answers: readonly Answer[]): { report: SliceReport; delivered: number[] } {
    const failed: FailedAttempt[] = [];
    const unsent: number[] = [];
    const delivered: number[] = [];
    let blocked: string | undefined;
    for (const [index, trigger] of slice.triggers.entries()) {
      const answer = answers[index % Math.max(1, answers.length)] ?? 'ok';
      if (trigger.user === blocked || answer === 'unsent') {
        unsent.push(index);
        blocked = trigger.user;
      } else if (answer === 'ok') {
        delivered.push(index);
        this.#deliver(trigger);
      } else {
        blocked = trigger.user;
        failed.push({ index, durationMs: 1, ...attemptOf(answer) });
      }
    }
    return { report: { failed, unsent, sendingMs: 10 }, delivered };
  }

  #deliver(trigger: Delivery): void {
    this.delivered.push(trigger);
    this.#deliveredKeys.set(key(trigger), (this.#deliveredKeys.get(key(trigger)) ?? 0) + 1);
  }

  #explain(slice: SliceInput, index: number): void {
    const trigger = slice.triggers[index];
    if (trigger !== undefined) this.#explained.add(key(trigger));
  }

  #pageAnswered(number: number, readAgain: boolean): void {
    if (readAgain) {
      const from = this.#pages.findIndex(({ page }) => page.number === number);
      if (from < 0) return;
      this.#members = [...this.#pages.slice(from).flatMap(({ page }) => page.ids), ...this.#members];
      this.#pages = this.#pages.slice(0, from);
      return;
    }
    for (const one of this.#pages) if (one.page.number <= number) one.answered = true;
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

function attemptOf(answer: Exclude<Answer, 'ok' | 'unsent'>): Partial<FailedAttempt> {
  if (answer === 'source') return { code: 'SOURCE_UNAVAILABLE' };
  if (answer === 'profile') return { code: 'PROFILE_MISSING' };
  return answer === 429 ? { status: 429, retryAfterMs: 2000 } : { status: answer };
}
