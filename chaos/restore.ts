// npx tsx chaos/restore.ts : Temporal's PostgreSQL is backed up while triggers flow; everything is killed, and goes on as it was at a moment in the middle
// of a backlog. One line for each statement about what holds then; exits 1 when one does not. Needs an installed PostgreSQL with pg_basebackup.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPostgresWithBackup } from '../demo/postgres-server.ts';
import type { SamplePerson } from '../demo/sample-people.ts';
import { type ExportJobs, JobNotFound, type JobStatus } from '../src/app/export-jobs.ts';
import { BaseBackup } from './base-backup.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { JobEndpoint } from './endpoint.ts';
import { changeKey, type Incidents, judge, type SeenRequest, type Verdict } from './judge.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { openStage, REQUEST_TIMEOUT_MS, type Stage } from './stage.ts';
import { holds, must, seconds, until } from './statements.ts';
import { findTemporalServer } from './temporal-build.ts';
import { changeOf, EVERYONE, liveTriggers, memberChange, type TimedTrigger } from './workload.ts';
import { optionsOf } from './options.ts';

const values = optionsOf('npx tsx chaos/restore.ts', {
  people: 2_000,
  /** Triggers that are accepted before the moment, and after it. */
  before: 10_000,
  after: 1_000,
  /** They run all the time, and what they remember is not so any more; without it they end with the rest, and others are started. */
  'workers-stay': false,
  /** Restores to so many ms before the moment: then the statements must not hold. */
  early: 0,
});
const BEFORE = values.before;
const AFTER = values.after;
const WORKERS = 2;
const PUSH_SIZE = 500;
const PUSH_EVERY_MS = 250;
const SLOW_MS = 80;
/** From the moment on, so that `crm` comes to what was accepted after it; then when everything is back. */
const QUICKER_MS = 10;
const QUICK_MS = 2;
/** Longest wait, in ms, for the first answer of a job. */
const ANSWER_MS = 60_000;
/** Longest wait, in ms, for what an idle job is told. */
const ARRIVAL_MS = 20_000;
/** After workers were killed, until the fleet knows. */
const WORKERS_GONE_MS = 200;
const QUIET_TRIGGERS = 100;
/** People about whom `crm` is told that it is no use. */
const REFUSED = 6;
/** On both sides of the moment, in ms: nothing is accepted then, so that each trigger is on one side. */
const MARGIN_MS = 100;
/** Of each time: before the moment, between it and the end, and when everything is back. */
const IDLE_TRIGGERS = 10;
const CAPS = { crm: 20, list: 20, members: 5, quiet: 5, idle: 5 } as const;
type JobId = keyof typeof CAPS;
const JOBS: readonly JobId[] = ['crm', 'list', 'members', 'quiet', 'idle'];
const AUDIENCES = {
  crm: ['newsletter', 'vip'],
  list: ['vip'],
  members: [EVERYONE],
  quiet: ['newsletter'],
  idle: ['newsletter'],
} as const;

/** An endpoint of each job, which may be slow. */
class Endpoints {
  readonly slowMs = new Map<JobId, number>();
  /** Whose messages are refused. */
  readonly refused = new Set<string>();
  readonly #of = new Map<JobId, JobEndpoint>();

  static async open(): Promise<Endpoints> {
    const endpoints = new Endpoints();
    for (const job of JOBS) await endpoints.#open(job);
    return endpoints;
  }

  of(job: JobId): JobEndpoint {
    const endpoint = this.#of.get(job);
    if (endpoint === undefined) throw new Error(`There is no endpoint of ${job}.`);
    return endpoint;
  }

  get origins(): string[] {
    return [...this.#of.values()].map(({ url }) => new URL(url).origin);
  }

  async close(): Promise<void> {
    for (const endpoint of this.#of.values()) await endpoint.close();
  }

  async #open(job: JobId): Promise<void> {
    this.slowMs.set(job, SLOW_MS);
    const answer = (delivery: string) => {
      const person = delivery.split(' ')[1] ?? '';
      const status = job === 'crm' && this.refused.has(person) ? 422 : 200;
      return { status, delayMs: this.slowMs.get(job) ?? 0 };
    };
    this.#of.set(job, await JobEndpoint.open(job, { answer, isShy: () => false }));
  }
}

/** What a job was told, before the moment and after it. */
interface Told {
  readonly before: TimedTrigger[];
  readonly after: TimedTrigger[];
}

/** What was so at the moment, and when that was. */
interface Moment {
  readonly atMs: number;
  readonly letters: readonly string[];
  readonly statuses: Readonly<Record<JobId, JobStatus>>;
}

function heardBy(job: JobId, triggers: readonly TimedTrigger[]): TimedTrigger[] {
  const audiences: readonly string[] = AUDIENCES[job];
  return triggers.filter(({ audience }) => audiences.includes(audience));
}

/** Some at a time, and not faster than an application would. */
async function push(jobs: ExportJobs, triggers: readonly TimedTrigger[]): Promise<void> {
  for (let i = 0; i < triggers.length; i += PUSH_SIZE) {
    const some = triggers.slice(i, i + PUSH_SIZE);
    await Promise.all([jobs.push('crm', heardBy('crm', some)), jobs.push('list', heardBy('list', some))]);
    await sleep(PUSH_EVERY_MS);
  }
}

async function startJob(jobs: ExportJobs, endpoints: Endpoints, job: JobId): Promise<void> {
  await jobs.start(
    {
      label: job,
      audiences: [...AUDIENCES[job]],
      webhookUrl: endpoints.of(job).url,
      authorization: 'chaos',
      parallelRequestCount: CAPS[job],
      existingUsers: job === 'members',
    },
    { jobId: job },
  );
}

async function lettersOf(jobs: ExportJobs): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of jobs.deadLetters.list({ jobId: 'crm' })) ids.push(id);
  return ids;
}

async function statusesOf(jobs: ExportJobs): Promise<Record<JobId, JobStatus>> {
  const [crm, list, members, quiet, idle] = await Promise.all([
    jobs.status('crm'),
    jobs.status('list'),
    jobs.status('members'),
    jobs.status('quiet'),
    jobs.status('idle'),
  ]);
  return { crm, list, members, quiet, idle };
}

const isDelivered = ({ answered }: SeenRequest): boolean => answered === 200;

/** One play: what happens, and what is known of it. */
class Rewinding {
  readonly told: Told = { before: [], after: [] };
  readonly quiet: TimedTrigger[];
  idle: Told;
  killedAtMs = 0;
  readonly #stage: Stage;
  readonly #endpoints: Endpoints;
  readonly #triggers: readonly TimedTrigger[];
  readonly #newcomers: readonly TimedTrigger[];

  constructor(stage: Stage, endpoints: Endpoints) {
    this.#stage = stage;
    this.#endpoints = endpoints;
    this.#triggers = liveTriggers(stage.people, BEFORE + AFTER, 1);
    this.#newcomers = stage.people.map(({ user }, i) => ({
      user,
      audience: 'newsletter',
      event: 'enter',
      at: `2026-01-01T00:00:01.${String(i).padStart(9, '0')}Z`,
    }));
    this.quiet = this.#newcomers.slice(0, QUIET_TRIGGERS);
    this.idle = { before: this.#newcomers.slice(0, IDLE_TRIGGERS), after: [] };
  }

  /** So many that `idle` was never told, in a signal each, since what is signalled alone is what an idle job hears. */
  async tellIdle(from: number): Promise<TimedTrigger[]> {
    const told = this.#newcomers.slice(from, from + IDLE_TRIGGERS);
    for (const trigger of told) await this.#stage.jobs.push('idle', [trigger]);
    return told;
  }

  /** Until the moment, which is in the middle of everything. */
  async play(backUp: () => Promise<void>): Promise<Moment> {
    const { jobs } = this.#stage;
    for (const { user } of this.#stage.people.slice(0, REFUSED)) this.#endpoints.refused.add(user);
    for (const job of JOBS) await startJob(jobs, this.#endpoints, job);
    await jobs.pause('quiet');
    await jobs.push('quiet', this.quiet);
    await this.tellIdle(0);
    await until('something was delivered', () => this.#endpoints.of('members').delivered > 0);
    await holds('a base backup is taken while triggers are accepted and delivered', async () => {
      const before = this.#triggers.slice(0, BEFORE);
      const fromMs = performance.now();
      const taking = backUp().then(() => performance.now() - fromMs);
      await push(jobs, before);
      this.told.before.push(...before);
      return `${seconds(await taking)}, while ${BEFORE} triggers were accepted in ${seconds(performance.now() - fromMs)}`;
    });
    await sleep(MARGIN_MS);
    const moment = { atMs: Date.now(), letters: await lettersOf(jobs), statuses: await statusesOf(jobs) };
    await sleep(MARGIN_MS);
    return moment;
  }

  /** What happens after the moment, and is to be undone. */
  async playOn(): Promise<void> {
    const { jobs } = this.#stage;
    const after = this.#triggers.slice(BEFORE);
    this.#endpoints.slowMs.set('crm', QUICKER_MS);
    await push(jobs, after);
    this.told.after.push(...after);
    this.idle = { before: this.idle.before, after: await this.tellIdle(IDLE_TRIGGERS) };
    await jobs.start(
      { label: 'Later', audiences: ['vip'], webhookUrl: this.#endpoints.of('quiet').url, authorization: 'chaos' },
      { jobId: 'later' },
    );
    await jobs.stop('quiet', { waiting: 'discard' });
    await jobs.deadLetters.discard({ jobId: 'crm' });
    await until('some of it was delivered', () => this.deliveredAfter('crm') > this.heard('crm').after.length / 4);
  }

  heard(job: JobId): Told {
    if (job === 'quiet') return { before: this.quiet, after: [] };
    if (job === 'idle') return this.idle;
    return { before: heardBy(job, this.told.before), after: heardBy(job, this.told.after) };
  }

  deliveredAfter(job: JobId): number {
    const keys = new Set(this.heard(job).after.map((trigger) => changeKey(changeOf(trigger))));
    const requests = this.#endpoints.of(job).requests().filter(isDelivered).map(changeKey);
    return new Set(requests.filter((key) => keys.has(key))).size;
  }

  /** Whose messages come to something other than a delivery is not in it. */
  expected(job: JobId, triggers: readonly TimedTrigger[]) {
    const { refused } = this.#endpoints;
    return triggers.filter(({ user }) => job !== 'crm' || !refused.has(user)).map(changeOf);
  }

  members(people: readonly SamplePerson[], job: JobId) {
    return job === 'members' ? people.map(({ user }) => memberChange(user)) : [];
  }

  /** What became of everything that was accepted before the moment, and is not expected to be refused. */
  verdict(job: JobId, { atMs }: Moment, told = this.heard(job).before): Verdict {
    const incidents: Incidents = {
      kills: this.#stage.fleet.kills,
      // What the job was told of a delivery since the moment is undone.
      outages: [{ fromMs: atMs, toMs: this.killedAtMs }],
      repeated: new Set(),
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      stalls: this.#stage.stalls,
    };
    return judge(
      {
        cap: CAPS[job],
        live: this.expected(job, told),
        members: this.members(this.#stage.people, job),
        requests: this.#endpoints.of(job).requests(),
      },
      incidents,
    );
  }

  /** The same of what arrived since everything was started again. */
  verdictSince(job: JobId): Verdict {
    return judge(
      {
        cap: CAPS[job],
        live: this.expected(job, [...this.heard(job).before, ...this.heard(job).after]),
        members: [],
        requests: this.#endpoints
          .of(job)
          .requests()
          .filter(({ arrivedAtMs }) => arrivedAtMs > this.killedAtMs + REQUEST_TIMEOUT_MS),
      },
      {
        kills: new Map(),
        outages: [],
        repeated: new Set(),
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        stalls: this.#stage.stalls,
      },
    );
  }
}

async function killAndPutBack(cluster: Cluster, backup: BaseBackup, { fleet }: Stage, moment: Moment): Promise<void> {
  const kill = async () => {
    if (!values['workers-stay']) fleet.killAll();
    await cluster.killTemporal();
    await cluster.postgres.kill();
  };
  await kill();
  const fromMs = performance.now();
  backup.putBack(cluster.postgres, new Date(moment.atMs - values.early));
  await cluster.postgres.startAgain();
  const postgresMs = performance.now() - fromMs;
  await cluster.startTemporal();
  console.log(
    `        PostgreSQL was back after ${seconds(postgresMs)}, Temporal after ${seconds(performance.now() - fromMs)}`,
  );
}

/** How the jobs that answer are, as soon as they do. */
async function firstAnswers(jobs: ExportJobs): Promise<Partial<Record<JobId, JobStatus>>> {
  const found: Partial<Record<JobId, JobStatus>> = {};
  await Promise.all(
    JOBS.map(async (job) => {
      await holds(`${job}: says how it is`, async () => {
        const fromMs = performance.now();
        let failure: unknown;
        const answers = async () => {
          try {
            found[job] = await jobs.status(job);
          } catch (error) {
            failure = error;
          }
          return found[job] !== undefined;
        };
        await until('it answers', answers, ANSWER_MS).catch(() => {
          throw failure;
        });
        return `after ${seconds(performance.now() - fromMs)}`;
      });
    }),
  );
  return found;
}

async function judgeWhatIsBack(play: Rewinding, { jobs }: Stage, moment: Moment): Promise<void> {
  const statuses = await firstAnswers(jobs);
  await holds('jobs know of what was accepted before the moment, and of nothing that was accepted after it', () => {
    const told = (job: JobId) => play.heard(job).before.length;
    const said = (job: JobId) => `${job} ${statuses[job]?.received} of ${told(job)}`;
    const live = JOBS.filter((job) => job !== 'members');
    const wrong = live.filter((job) => statuses[job]?.received !== told(job));
    must(wrong.length === 0, wrong.map(said).join(', '));
    return live.map(said).join(', ');
  });
  await holds('a job that was started after the moment is not there', async () => {
    const answer = await jobs.status('later').catch((error: unknown) => error);
    must(answer instanceof JobNotFound, JSON.stringify(answer));
  });
  await holds(
    'a job that was stopped after the moment, and discarded what waited, has it and is paused as before',
    () => {
      const { state, waiting } = statuses.quiet ?? {};
      must(state === 'paused' && waiting === QUIET_TRIGGERS, `it is ${state}, and ${waiting} wait`);
    },
  );
  await holds('dead letters that were discarded after the moment are back', async () => {
    await until('the dead letters are listed', async () => {
      const back = new Set(await lettersOf(jobs));
      return moment.letters.every((id) => back.has(id));
    });
    return `${moment.letters.length}`;
  });
}

/** A job that does nothing is what workers remember longest. Tells it something, and resolves with what. */
async function judgeAnIdleJob(play: Rewinding, { jobs }: Stage, endpoints: Endpoints): Promise<TimedTrigger[]> {
  const told = await play.tellIdle(2 * IDLE_TRIGGERS);
  await holds('an idle job sends what it is told after the restore', async () => {
    await arrives(endpoints, told).catch(async (error: unknown) => {
      const { received, waiting } = await jobs.status('idle');
      throw new Error(`it says that it received ${received}, and ${waiting} wait`, { cause: error });
    });
  });
  return told;
}

async function arrives(endpoints: Endpoints, told: readonly TimedTrigger[]): Promise<void> {
  const missing = () => {
    const there = new Set(endpoints.of('idle').requests().filter(isDelivered).map(changeKey));
    return told.filter((trigger) => !there.has(changeKey(changeOf(trigger)))).length;
  };
  await until('it arrives', () => missing() === 0, ARRIVAL_MS).catch((error: unknown) => {
    throw new Error(`${missing()} of ${told.length} do not arrive`, { cause: error });
  });
}

/** What workers remembered of a time that has not been is gone with them. */
async function mendByNewWorkers(
  play: Rewinding,
  { fleet }: Stage,
  endpoints: Endpoints,
  before: readonly TimedTrigger[],
): Promise<void> {
  fleet.killAll();
  await sleep(WORKERS_GONE_MS);
  await until('there are workers', () => fleet.ready === WORKERS);
  await holds('with new workers, an idle job sends what it is told', async () => {
    await arrives(endpoints, await play.tellIdle(3 * IDLE_TRIGGERS));
  });
  await holds(
    'with new workers, an idle job sends what it was told before',
    async () => await arrives(endpoints, before),
  );
}

async function untilDrained(play: Rewinding, { jobs }: Stage, moment: Moment): Promise<void> {
  await jobs.resume('quiet');
  await until('all jobs are done', async () => {
    const statuses = Object.values(await statusesOf(jobs));
    const backfill = (await jobs.status('members')).backfill;
    return statuses.every(({ waiting, inFlight }) => waiting + inFlight === 0) && backfill?.state === 'finished';
  }).catch((error: unknown) => console.log(`        ${String(error)}`));
  const statuses = await statusesOf(jobs);
  for (const job of JOBS) {
    const { lost, outOfOrder, duplicates, unexplainedDuplicates, changedIds, violations, unexplainedOverCap } =
      play.verdict(job, moment);
    await holds(`${job}: all that was accepted before the moment is delivered, and nothing waits`, () => {
      must(lost === 0 && statuses[job].waiting === 0, `${lost} lost, ${statuses[job].waiting} wait: ${violations[0]}`);
    });
    await holds(`${job}: everything came for the first time in order per person`, () => {
      must(outOfOrder === 0, `${outOfOrder} did not: ${violations[0]}`);
    });
    const since = play.verdictSince(job);
    await holds(`${job}: what comes again comes in order per person, each once`, () => {
      must(
        since.outOfOrder + since.duplicates === 0,
        `${since.outOfOrder}, ${since.duplicates}: ${since.violations[0]}`,
      );
    });
    await holds(`${job}: only what was delivered since the moment, or within 3 s before it, came again`, () => {
      must(unexplainedDuplicates === 0, `${unexplainedDuplicates} of ${duplicates}: ${violations[0]}`);
      return `${duplicates} repeats`;
    });
    await holds(`${job}: a repeat has the same id, and the cap is kept`, () => {
      must(changedIds === 0, `${changedIds} have another id`);
      must(unexplainedOverCap === 0, `${unexplainedOverCap} requests too many`);
    });
  }
}

async function mendByPushing(play: Rewinding, { jobs }: Stage, moment: Moment): Promise<void> {
  const { before, after } = play.heard('crm');
  await holds('what was accepted after the moment is lost to the jobs, unless it was delivered by then', () => {
    const said = (['crm', 'list'] as const).map((job) => {
      const { after } = play.heard(job);
      return `${job} ${play.expected(job, after).length - play.deliveredAfter(job)} of ${after.length}`;
    });
    must(play.deliveredAfter('list') < play.heard('list').after.length, said.join(', '));
    return said.join(', ');
  });
  await holds('crm: pushed again, all of it is delivered, in order per person', async () => {
    await jobs.push('crm', after);
    await until('it is delivered', async () => (await jobs.status('crm')).waiting === 0);
    const { lost, outOfOrder, unexplainedDuplicates, violations } = play.verdict('crm', moment, [...before, ...after]);
    must(lost + outOfOrder === 0, `${lost} lost, ${outOfOrder} out of order: ${violations[0]}`);
    must(unexplainedDuplicates === 0, `${unexplainedDuplicates} repeats are not explained: ${violations[0]}`);
  });
}

/** Whom the endpoint of `list` has in the audience, by the last word about each. */
function membersThere(endpoints: Endpoints): Set<string> {
  const there = new Set<string>();
  for (const request of endpoints.of('list').requests().filter(isDelivered)) {
    if (request.what.includes(' enter ')) there.add(request.person);
    else there.delete(request.person);
  }
  return there;
}

async function mendByReconciling(play: Rewinding, { jobs, folder }: Stage, endpoints: Endpoints): Promise<void> {
  const { before, after } = play.heard('list');
  const members = new Set<string>();
  for (const { user, event } of [...before, ...after])
    if (event === 'enter') members.add(user);
    else members.delete(user);
  const file = join(folder, 'source', 'audiences', 'vip.ndjson');
  const [header = ''] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, `${[header, ...[...members].map((user) => JSON.stringify(user))].join('\n')}\n`);
  await holds('list: a reconcile sends what the endpoint missed, and nothing else', async () => {
    const there = membersThere(endpoints);
    const missing = [...members].filter((user) => !there.has(user)).length;
    const tooMany = [...there].filter((user) => !members.has(user)).length;
    const difference = await jobs.compare('list', there);
    must(difference.enters === missing && difference.exits === tooMany, JSON.stringify(difference));
    await jobs.reconcile('list', difference);
    await until('it is sent', async () => (await jobs.status('list')).backfill?.state === 'finished');
    const now = membersThere(endpoints);
    must(now.size === members.size && [...members].every((user) => now.has(user)), `it has ${now.size} now`);
    return `${missing} enters and ${tooMany} exits; then it has the ${members.size} members`;
  });
}

async function judgeWorkers({ fleet }: Stage): Promise<void> {
  await holds('no worker ended by itself, and none failed a workflow task', () => {
    const log = fleet.readLogs();
    for (const [kind, { count }] of log.complaints) console.log(`        ${count} × ${kind}`);
    must(fleet.crashes.length === 0, fleet.crashes.join('; '));
    must(log.workflowTaskFailures === 0, `${log.workflowTaskFailures} workflow tasks failed`);
  });
}

async function main(): Promise<void> {
  const programs = { temporal: await findTemporalServer(console.error), postgres: await findPostgresWithBackup() };
  const endpoints = await Endpoints.open();
  let cluster: Cluster | undefined;
  let backup: BaseBackup | undefined;
  const stage = await openStage({
    people: values.people,
    workers: WORKERS,
    origins: endpoints.origins,
    config: (folder) => ({ watch: { folder: join(folder, 'watch') } }),
    startServer: async (folder) => {
      backup = new BaseBackup(folder);
      const { dynamicConfig } = DEFAULT_LIMITS;
      return (cluster = await startCluster(programs, folder, dynamicConfig, { postgresSettings: backup.settings }));
    },
  });
  try {
    if (cluster === undefined || backup === undefined) throw new Error('Nothing was started.');
    const { postgres } = cluster;
    const play = new Rewinding(stage, endpoints);
    const taken = backup;
    const moment = await play.play(() => taken.take(programs.postgres, postgres));
    const { crm, list } = moment.statuses;
    console.log(`        at the moment ${crm.waiting} wait in crm, ${list.waiting} in list`);
    await play.playOn();
    await backup.untilArchived(postgres);
    play.killedAtMs = Date.now();
    await killAndPutBack(cluster, backup, stage, moment);
    for (const job of JOBS) endpoints.slowMs.set(job, QUICK_MS);
    await judgeWhatIsBack(play, stage, moment);
    const told = await judgeAnIdleJob(play, stage, endpoints);
    if (values['workers-stay']) await mendByNewWorkers(play, stage, endpoints, told);
    await untilDrained(play, stage, moment);
    await mendByPushing(play, stage, moment);
    await mendByReconciling(play, stage, endpoints);
    await judgeWorkers(stage);
  } finally {
    await stage.close();
    await endpoints.close();
  }
}

await main();
