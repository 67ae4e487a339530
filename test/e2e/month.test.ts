import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from '@jest/globals';
import temporalProto from '@temporalio/proto';
import { DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';
import { DEAD_LETTER, HOLDER, jobWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { SkippedTime, testWithSkippedTime } from '../support/time-skipping.ts';
import { serveHttp } from '../webhook/a-server.ts';

const { History } = temporalProto.temporal.api.history.v1;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Dead letters expire after 30 days. */
const LETTER_DAYS = 30;
/** By MONTH=1 a month, in four minutes; else as much as shows growth from one cycle to the next. */
const IS_MONTH = process.env['MONTH'] === '1';
const DAYS = IS_MONTH ? LETTER_DAYS + 3 : 9;
/** After so many days the same happens again. */
const CYCLE = 3;
/** So small that all that a job remembers of people, edits and letters is at its most after one cycle. */
const SERVER_LIMITS = { ...DEFAULT_SERVER_LIMITS, payloadBytes: 64 * 1024, eventsPerRun: 20_000 };
/** A job remembers 64 backfills, one a day here: the state grows by this much a day until then, in bytes. */
const REMEMBERED_BACKFILL = 125;

const QUIET = { from: '22:00', to: '06:00', timeZone: 'UTC' };
const QUOTA = 160;
/** Live triggers at noon of a cycle's days: with the last, a day has more than the quota. */
const AT_NOON = [10, 30, 100];
/** Live triggers in the quiet hours: more bytes than the job carries, so they wait in a holder. */
const AT_NIGHT = 45;
/** People whom the endpoint refuses each day. All but one are redelivered in the evening. */
const REFUSED = 12;
const MEMBERS = Array.from({ length: 100 }, (_, i) => `member-${i}`);
/** Members who leave, and others who come, twice a day. */
const CHANGED = 10;

/** An endpoint that refuses some people until they are forgiven, and every tenth person's first request. It knows the server's time. */
class Endpoint {
  readonly forgiven = new Set<string>();
  /** When each message came first, by its id; epoch ms. */
  readonly firstAt = new Map<string, number>();
  /** When requests came; epoch ms. */
  readonly requestsAt: number[] = [];
  readonly #time: SkippedTime;

  constructor(time: SkippedTime) {
    this.#time = time;
  }

  async serve(): Promise<string> {
    return await serveHttp((request, response) => {
      const status = this.#statusFor(String(request.headers['webhook-id']), text(request));
      void status.then((answered) => response.writeHead(answered).end());
    });
  }

  async #statusFor(id: string, body: Promise<string>): Promise<number> {
    const { id: user } = JSON.parse(await body) as { id: string };
    // Time does not skip while a request is open.
    const at = await this.#time.now();
    const isFirst = !this.firstAt.has(id);
    if (isFirst) this.firstAt.set(id, at);
    this.requestsAt.push(at);
    if (user.startsWith('refused') && !this.forgiven.has(user)) return 422;
    return isFirst && user.endsWith('7') ? 503 : 200;
  }
}

/** What a run cost. */
interface Run {
  /** The size of what the run before handed on. */
  readonly givenBytes: number;
  readonly events: number;
  readonly historyBytes: number;
  readonly tasks: number;
  readonly timers: number;
  /** Of the memo and of search attributes. */
  readonly writes: number;
}

/** Reads the runs of a workflow. */
class Runs {
  readonly #lab: Lab;
  readonly #workflowId: string;
  readonly #read = new Set<string>();

  constructor(lab: Lab, workflowId: string) {
    this.#lab = lab;
    this.#workflowId = workflowId;
  }

  /** Those that have ended since this was asked last, oldest first, and the present one. */
  async newer(): Promise<{ readonly ended: readonly Run[]; readonly present: Run }> {
    const { runId } = await this.#handle().describe();
    const { run: present, before } = await this.#run(runId);
    const ended: Run[] = [];
    for (let next = before; next !== '' && !this.#read.has(next);) {
      this.#read.add(next);
      const one = await this.#run(next);
      ended.unshift(one.run);
      next = one.before;
    }
    return { ended, present };
  }

  #handle(runId?: string) {
    return this.#lab.client.workflow.getHandle(this.#workflowId, runId);
  }

  async #run(runId: string): Promise<{ readonly run: Run; readonly before: string }> {
    const history = await this.#handle(runId).fetchHistory();
    const events = history.events ?? [];
    const begun = events[0]?.workflowExecutionStartedEventAttributes;
    const count = (...kinds: readonly string[]) =>
      events.filter((event) => kinds.some((kind) => Reflect.get(event, `${kind}EventAttributes`) != null)).length;
    const run = {
      givenBytes: await this.#unpackedBytes(begun?.input?.payloads ?? []),
      events: events.length,
      historyBytes: History.encode(history).finish().length,
      tasks: count('workflowTaskCompleted'),
      timers: count('timerStarted'),
      writes: count('upsertWorkflowSearchAttributes', 'workflowPropertiesModified'),
    };
    return { run, before: begun?.continuedExecutionRunId ?? '' };
  }

  async #unpackedBytes(payloads: Parameters<Codec['decode']>[0]): Promise<number> {
    const codecs: readonly Codec[] = this.#lab.client.options.loadedDataConverter.payloadCodecs;
    for (const codec of codecs.toReversed()) payloads = await codec.decode(payloads);
    return payloads[0]?.data?.length ?? 0;
  }
}

type Codec = Lab['client']['options']['loadedDataConverter']['payloadCodecs'][number];

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
const most = (numbers: readonly number[]): number => Math.max(0, ...numbers);

/** What may grow: how it is at the end of a day, or was in its course. */
interface Figures {
  readonly waiting: number;
  readonly stateBytes: number;
  /** The most that a run was given, mostly triggers that waited, … */
  readonly mostGivenBytes: number;
  /** … and the least, when nothing waited. */
  readonly leastGivenBytes: number;
  readonly mostEvents: number;
  readonly mostHistoryBytes: number;
  readonly runs: number;
  readonly tasks: number;
  readonly timers: number;
  readonly writes: number;
  readonly requests: number;
  readonly holders: number;
  readonly deadLetters: number;
  readonly watchStatusBytes: number;
  readonly watchGivenBytes: number;
  readonly watchFiles: number;
  readonly watchFileBytes: number;
}

/** A job, its watch, and what happens to them. */
class Month {
  readonly days: Figures[] = [];
  readonly endpoint: Endpoint;
  readonly firstMs: number;
  /** Triggers so far, live ones and the watch's. */
  triggers = 0;
  readonly #time: SkippedTime;
  readonly #lab: Lab;
  readonly #job: string;
  readonly #runs: Runs;
  readonly #watchRuns: Runs;
  readonly #folder: string;
  readonly #members = [...MEMBERS];
  readonly #leftAlone = new Set<string>();

  static async start(time: SkippedTime, lab: Lab, folder: string): Promise<Month> {
    const endpoint = new Endpoint(time);
    const job = await lab.start({
      webhookUrl: await endpoint.serve(),
      quietHours: QUIET,
      quota: { people: QUOTA, per: 'day', timeZone: 'UTC' },
      stale: 'drop',
    });
    await lab.jobs.watches.start([VIP.id], { everyMs: 3 * HOUR_MS });
    return new Month(time, lab, endpoint, job, folder, Math.ceil((await time.now()) / DAY_MS) * DAY_MS);
  }

  private constructor(time: SkippedTime, lab: Lab, endpoint: Endpoint, job: string, folder: string, firstMs: number) {
    this.#time = time;
    this.#lab = lab;
    this.endpoint = endpoint;
    this.#job = job;
    this.#folder = folder;
    this.firstMs = firstMs;
    this.#runs = new Runs(lab, jobWorkflowId(job));
    this.#watchRuns = new Runs(lab, watchWorkflowId(VIP.id));
  }

  async day(): Promise<void> {
    const { jobs } = this.#lab;
    const day = this.days.length;
    const at = async (hour: number) => await this.#time.skipTo(this.firstMs + day * DAY_MS + hour * HOUR_MS);
    await at(3);
    await this.#enter('night', AT_NIGHT);
    await at(7);
    this.#changeMembers();
    await at(9);
    await jobs.pause(this.#job);
    await jobs.edit(this.#job, { description: `On day ${day} ${'much '.repeat(120)}was said.` });
    await jobs.resume(this.#job);
    await jobs.backfill(this.#job, { audiences: [NEWS.id] });
    await at(10);
    await this.#enter('refused', REFUSED);
    await at(12);
    await this.#enter('noon', AT_NOON[day % CYCLE] ?? 0);
    await at(15);
    this.#changeMembers();
    await at(20);
    await this.#redeliver();
    await at(23);
    this.days.push(await this.#figures());
  }

  async #enter(name: string, count: number): Promise<void> {
    const at = new Date(await this.#time.now()).toISOString();
    const triggers = Array.from({ length: count }, () => ({
      audience: NEWS.id,
      event: 'enter' as const,
      user: `${name}-${this.triggers++}`,
      at,
      profile: { interests: 'x'.repeat(600) },
    }));
    await this.#lab.jobs.signal(this.#job, triggers);
  }

  #changeMembers(): void {
    for (const left of this.#members.splice(0, CHANGED)) this.#lab.source.exit(VIP.id, left);
    const joined = Array.from({ length: CHANGED }, () => `joined-${this.triggers++}`);
    this.triggers += CHANGED;
    this.#members.push(...joined);
    for (const user of joined) this.#lab.source.enter(VIP.id, user);
  }

  async #redeliver(): Promise<void> {
    const { deadLetters } = this.#lab.jobs;
    const letters: string[] = [];
    for await (const { id, user = '' } of deadLetters.list({ jobId: this.#job })) {
      if (this.#leftAlone.has(id)) continue;
      letters.push(id);
      this.endpoint.forgiven.add(user);
    }
    const [leftAlone = '', ...others] = letters;
    this.#leftAlone.add(leftAlone);
    for (const id of others) await deadLetters.redeliver(id, { force: true });
  }

  async #figures(): Promise<Figures> {
    const { waiting, stateBytes } = await this.#lab.jobs.status(this.#job);
    const { ended } = await this.#runs.newer();
    const watchRuns = await this.#watchRuns.newer();
    const open = await this.#time.open();
    const openOf = (type: string) => open.filter((one) => one === type).length;
    const files = readdirSync(this.#folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    const dayMs = this.firstMs + this.days.length * DAY_MS;
    return {
      waiting,
      stateBytes,
      mostGivenBytes: most(ended.map(({ givenBytes }) => givenBytes)),
      leastGivenBytes: Math.min(...ended.map(({ givenBytes }) => givenBytes)),
      mostEvents: most(ended.map(({ events }) => events)),
      mostHistoryBytes: most(ended.map(({ historyBytes }) => historyBytes)),
      runs: ended.length,
      tasks: sum(ended.map(({ tasks }) => tasks)),
      timers: sum(ended.map(({ timers }) => timers)),
      writes: sum(ended.map(({ writes }) => writes)),
      requests: this.endpoint.requestsAt.filter((at) => at >= dayMs).length,
      holders: openOf(HOLDER),
      deadLetters: openOf(DEAD_LETTER),
      watchStatusBytes: JSON.stringify(await this.#lab.jobs.watches.status(VIP.id)).length,
      watchGivenBytes: watchRuns.present.givenBytes,
      watchFiles: files.length,
      watchFileBytes: sum(files.map(({ parentPath, name }) => statSync(join(parentPath, name)).size)),
    };
  }
}

/** Counts of what was done. */
const SUMMED: ReadonlySet<keyof Figures> = new Set(['runs', 'tasks', 'timers', 'writes', 'requests']);

/** A cycle in one: the most, the least, or the sum of what was done. */
function cycleOf(days: readonly Figures[]): Figures {
  const names = Object.keys(days[0] ?? {}) as (keyof Figures)[]; // They are its names.
  const figures = names.map((name) => {
    const values = days.map((day) => day[name]);
    if (name === 'leastGivenBytes') return [name, Math.min(...values)];
    return [name, SUMMED.has(name) ? sum(values) : most(values)];
  });
  return Object.fromEntries(figures) as Figures; // With these names, it is one.
}

/** How much more than in the second cycle there may be: timing differs by some tasks and events, and numbers get longer. */
const MARGIN: Readonly<Record<keyof Figures, number>> = {
  waiting: 1,
  stateBytes: 1.02,
  mostGivenBytes: 1.3,
  leastGivenBytes: 1.1, // On a slow machine a trigger may wait; `stateBytes` is when nothing waits.
  mostEvents: 1.25,
  mostHistoryBytes: 1.3,
  runs: 1.25,
  tasks: 1.15,
  timers: 1.15,
  writes: 1.25,
  requests: 1.05,
  holders: 1,
  deadLetters: Infinity, // They are counted below.
  watchStatusBytes: 1.05,
  watchGivenBytes: Infinity, // Runs of the watch are compared below.
  watchFiles: 1.15,
  watchFileBytes: 1.1,
};

testWithSkippedTime(
  `in ${DAYS} days of a job nothing grows, nothing is sent in quiet hours, and no more than the quota`,
  async () => {
    const time = await SkippedTime.start();
    const folder = tempFolder();
    const lab = await Lab.open({
      address: time.address,
      content: {
        audiences: [
          { ...VIP, members: MEMBERS },
          { ...NEWS, members: [] },
        ],
      },
      config: { watch: { folder }, serverLimits: SERVER_LIMITS },
    });
    try {
      const month = await Month.start(time, lab, folder);
      while (month.days.length < DAYS) await month.day();
      const { days, endpoint, firstMs } = month;

      const cycles = Array.from({ length: DAYS / CYCLE }, (_, i) => cycleOf(days.slice(i * CYCLE, (i + 1) * CYCLE)));
      const [, second] = cycles as [Figures, Figures];
      const grown = cycles.slice(2).flatMap((cycle, i) => {
        const remembered = REMEMBERED_BACKFILL * CYCLE * (i + 1);
        return (Object.keys(MARGIN) as (keyof Figures)[]).flatMap((name) => {
          // Seven to ten writes are made in a cycle: one more a day is chance.
          const more = SUMMED.has(name) ? CYCLE : /^state|GivenBytes$/.test(name) ? remembered : 0;
          return cycle[name] > second[name] * MARGIN[name] + more
            ? [{ cycle: i + 3, name, is: cycle[name], was: second[name] }]
            : [];
        });
      });
      expect(grown).toEqual([]);
      // One a day is left alone, and waits for 30 days.
      expect(days.map(({ deadLetters }) => deadLetters)).toEqual(days.map((_, i) => Math.min(i + 1, LETTER_DAYS)));
      const given = [...new Set(days.map(({ watchGivenBytes }) => watchGivenBytes))];
      // A watch hands on every twelve days or so.
      if (IS_MONTH) {
        expect(given.length).toBeGreaterThan(2);
        expect(given[2]).toBeLessThan((given[1] ?? 0) * 1.05);
      }

      const hours = new Set(endpoint.requestsAt.map((at) => new Date(at).getUTCHours()));
      expect([...hours].filter((hour) => hour < 6 || hour >= 22)).toEqual([]);
      const firstOn = (day: number) =>
        [...endpoint.firstAt.values()].filter((at) => Math.floor((at - firstMs) / DAY_MS) === day).length;
      expect(most(days.map((_, day) => firstOn(day)))).toBe(QUOTA);
      expect(second.holders).toBeGreaterThan(0);
      // On the last day those who were redelivered wait for the next quota, too.
      const untried = (days.at(-1)?.waiting ?? 0) - (REFUSED - 1);
      expect(endpoint.firstAt.size + untried).toBe(month.triggers);
    } finally {
      await lab.close();
      await time.stop();
    }
  },
  1_200_000,
);
