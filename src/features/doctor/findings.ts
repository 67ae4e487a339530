import type { LastFailure } from '../../contract/job-status.ts';
import type { WatchStatus } from '../watch/sandbox/watch.ts';
import { definedOf } from '../../domain/json.ts';
import { counted, duration, shownCount, shownTime } from '../../domain/text.ts';
import { shellWord } from '../../words/text.ts';
import { failureInWords, judge, VERDICTS } from '../../domain/verdict.ts';
import { FAILURES_ALERTED } from '../watch/sandbox/rounds.ts';
import type { WorkerHealth, WorkerPart } from '../../worker/worker-health.ts';
import type { Expiring } from '../../client/calls/expiring.ts';
import { type EndedJob, endedInWords, type ExpiringLetters, expiringInWords } from '../../words/losses.ts';

/** All checks, and what to do unless a finding knows better; some name what the finding is about. */
const REMEDIES = {
  temporal: 'Start Temporal and its database, and make room if its disk is full; or correct TEMPORAL_ADDRESS.',
  'ended-jobs': (job: string) => `Recover it while Temporal remembers it: triggers recover ${job}`,
  retention: (namespace: string) =>
    `Lengthen it: temporal operator namespace update --retention 72h --namespace ${namespace}`,
  'search-attributes': 'Register them: triggers setup',
  workers: (taskQueue: string) =>
    `Start one for this task queue: TRIGGERS_TASK_QUEUE=${taskQueue} triggers worker. If one is there, see its log; if Temporal takes nothing, see its database. If the name is misspelt, correct it.`,
  'payload-keys': 'Give all workers and this program the same "payloadKeys" (TRIGGERS_PAYLOAD_KEYS), and restart them.',
  clocks: 'Let NTP set the clock of that machine, and of the one that Temporal runs on.',
  source: 'Bring it back, or correct "source". Triggers that come with a profile are sent, others wait.',
  configuration: 'Correct it: the log of the worker says where.',
  'delivery-log': 'Bring its database or folder back. Workers send without it, and keep its last rows for it.',
  disk: 'Bring the folder back, and make room there or shorten "deliveryLog.retentionDays".',
  certificates:
    'Replace it. Workers take changed authorizations over, and the API its keys; for anything else, restart them.',
  jobs: 'Do as it says. If that is nothing, see the log of the workers; docs/operating.md has the last resort.',
  endpoints: (job: string) => `It is probed until it answers, and nothing is lost. See why: triggers status ${job}`,
  'dead-letters': (job: string) =>
    `Redeliver or discard them before that. See them: triggers dead-letters list --job ${job}`,
  watches: 'Correct that: it is tried again by itself, and catches up. See why: triggers watch --list',
  alerts: 'Look after the webhook of "alerts". The log of the workers has every alert.',
} as const satisfies Readonly<Record<string, string | ((name: string) => string)>>;

/** The remedy for workers of a task queue that differ. */
const SAME = 'Give all workers of this task queue the same configuration, and restart them.';

/** A check of `triggers doctor`; docs/operating.md has a row for each. */
export type HealthCheck = keyof typeof REMEDIES;

/** `warning`: it works, but not for long or not in every case; `unknown`: it could not be checked. */
export type HealthState = 'failed' | 'warning' | 'unknown' | 'ok';

/** The outcome of a check, about the whole or about one thing. */
export interface Finding {
  readonly check: HealthCheck;
  readonly state: HealthState;
  /** The job that it is about. */
  readonly job?: string;
  readonly taskQueue?: string;
  /** As Temporal names it: `1234@host`. */
  readonly worker?: string;
  /** Numbers and names, for machines and people. */
  readonly facts: Readonly<Record<string, string | number | readonly string[]>>;
  /** Why it is not `ok`, in words. */
  readonly problem?: string;
  /** A way to repair it. */
  readonly remedy?: string;
  /** The jobs that it affects, without being about one; nobody is shown them. Absent: all, if it affects any. */
  readonly affects?: readonly string[];
}

/** The answer of `triggers doctor`. */
export interface Health {
  /** The worst of all findings. */
  readonly state: HealthState;
  /** Worst first; without a limit to some jobs, at least one for each check. */
  readonly findings: readonly Finding[];
}

/** All states, worst first. */
export const HEALTH_STATES: readonly [HealthState, ...HealthState[]] = ['failed', 'warning', 'unknown', 'ok'];

/** The remedies for known failures of a job's workflow task, or of Temporal, by code. */
const REMEDIES_BY_CODE: Readonly<Record<string, string>> = {
  NamespaceNotFoundError: 'Set TEMPORAL_NAMESPACE to one that the server has, or create it there.',
  NotLetIn: 'Give this program a key or a certificate that Temporal accepts: TEMPORAL_API_KEY, TEMPORAL_TLS_….',
  NON_DETERMINISTIC_ERROR: 'Run the previous release: the job moves on when its run ends.',
};

const HOUR_MS = 3_600_000;
const LEAST_RETENTION_MS = 24 * HOUR_MS;
/** Rates of a job that changes workers need this much agreement (docs/jobs.md). */
const MOST_APART_MS = 500;
const GIB = 2 ** 30;
const LITTLE_ROOM = 2 * GIB;
const NO_ROOM = GIB / 5;
/** How long before its end a certificate or a token is reported. */
const SOON_MS = 14 * 24 * HOUR_MS;

/** Without these, a job sends nothing, or its state is not known. */
const OF_EACH_JOB: readonly HealthCheck[] = ['temporal', 'workers', 'jobs', 'endpoints', 'alerts'];

/**
 * The findings in order, and their worst state.
 * @param isOwn for somebody who may see some jobs only: which they are. They get the findings about these; of others that affect them, no more than that.
 */
export function healthOf(found: readonly Finding[], isOwn?: (jobId: string) => boolean): Health {
  const shown = found.flatMap(({ affects, ...one }): Finding[] => {
    if (isOwn === undefined) return [one];
    const { check, state, job } = one;
    if (job !== undefined) return isOwn(job) ? [one] : [];
    if (state === 'ok' || !OF_EACH_JOB.includes(check) || affects?.some(isOwn) === false) return [];
    return [{ check, state, facts: {}, problem: 'It affects your jobs. A key for all jobs shows more.' }];
  });
  const findings = HEALTH_STATES.flatMap((state) => shown.filter((one) => one.state === state));
  return { state: findings[0]?.state ?? 'ok', findings };
}

/** These checks could not be made. Default: all but the first, whether Temporal can be used. */
export function unknownFindings(
  problem: string,
  checks: readonly HealthCheck[] = (Object.keys(REMEDIES) as HealthCheck[]).slice(1), // Keys of a constant.
): Finding[] {
  return checks.map((check) => ({ check, state: 'unknown', facts: {}, problem }));
}

type Trouble = Omit<Finding, 'check' | 'facts'> & Partial<Pick<Finding, 'facts'>>;

/**
 * Each trouble with its remedy; if there is none, that all is well.
 * @param about what the remedy names, unless a trouble is about a job.
 */
function findings(
  check: HealthCheck,
  troubles: readonly Trouble[],
  facts: Finding['facts'] = {},
  about = '',
): Finding[] {
  if (troubles.length === 0) return [{ check, state: 'ok', facts }];
  return troubles.map((one) => {
    const known = REMEDIES_BY_CODE[String(one.facts?.['code'])] ?? REMEDIES[check];
    const remedy = typeof known === 'string' ? known : known(shellWord(one.job ?? about));
    return { check, facts: {}, ...(one.state === 'unknown' ? {} : { remedy }), ...one };
  });
}

/** Why something cannot be done: the name of an error in docs/errors.md, and its message. */
interface Problem {
  readonly code: string;
  readonly message: string;
}

/** @param problem why Temporal cannot be used. */
export function temporalFindings(problem: Problem | undefined, facts: Finding['facts']): Finding[] {
  if (problem === undefined) return findings('temporal', [], facts);
  const { code, message } = problem;
  return findings('temporal', [{ state: 'failed', problem: message, facts: { ...facts, code } }]);
}

export function retentionFindings(ms: number | undefined, namespace: string): Finding[] {
  if (ms === undefined) return unknownFindings('Temporal does not say.', ['retention']);
  const facts = { hours: Math.round(ms / HOUR_MS) };
  const problem = `A terminated job can be recovered for ${duration(ms)} only.`;
  const troubles: Trouble[] = ms < LEAST_RETENTION_MS ? [{ state: 'warning', facts, problem }] : [];
  return findings('retention', troubles, facts, namespace);
}

export function attributeFindings(missing: readonly string[]): Finding[] {
  const problem = 'The namespace lacks search attributes: Temporal cannot list jobs and dead letters by them.';
  return findings('search-attributes', missing.length > 0 ? [{ state: 'warning', facts: { missing }, problem }] : []);
}

/** A task queue, and the workers that have asked it for work lately. */
export interface SeenQueue {
  readonly taskQueue: string;
  /** The ids of the running jobs on it. */
  readonly jobs: readonly string[];
  readonly pollers: readonly { readonly worker: string; readonly build?: string }[];
}

/** The answers of the workers of one task queue. */
export interface AskedWorkers {
  readonly taskQueue: string;
  readonly answers: readonly AnsweringWorker[];
  /** Why a question has none. */
  readonly problem?: Problem & { readonly hasOtherKeys: boolean };
}

/** `aheadMs`: how far its clock is ahead of Temporal's, in ms; 0 also when that is too little to tell. `askerAheadMs`: the same for the asking program. */
export type AnsweringWorker = WorkerHealth & { readonly aheadMs: number; readonly askerAheadMs: number };

export function queueFindings(queues: readonly SeenQueue[], asked: AskedWorkers): Finding[] {
  return queues.flatMap(({ taskQueue, jobs, pollers }) => {
    const { answers, problem } = asked.taskQueue === taskQueue ? asked : { answers: [] };
    const workers = pollers.map(({ worker, build }) => (build === undefined ? worker : `${worker} (build ${build})`));
    const releases = [...new Set(answers.map(({ release }) => release))];
    const facts = { jobs: jobs.length, workers, ...(releases.length === 0 ? {} : { releases }) };
    const troubles = (): Trouble[] => {
      if (pollers.length === 0)
        return [{ state: 'failed', facts, problem: 'No worker asks for work, so nothing is sent.' }];
      if (problem === undefined || problem.hasOtherKeys) return [];
      const { code, message } = problem;
      if (answers.length === 0) return [{ state: 'failed', facts: { ...facts, code }, problem: message }];
      return [{ state: 'warning', facts: { ...facts, code }, problem: `A question had no answer. ${message}` }];
    };
    return findings('workers', troubles(), facts, taskQueue).map((one) => ({ ...one, taskQueue, affects: jobs }));
  });
}

/** The checks that workers answer. */
export const WORKER_CHECKS: readonly [HealthCheck, ...HealthCheck[]] = [
  'payload-keys',
  'clocks',
  'source',
  'configuration',
  'delivery-log',
  'disk',
  'certificates',
];

/** @param own what the asking program itself has that expires. */
export function workerFindings(asked: AskedWorkers, own: readonly Expiring[], nowMs: number): Finding[] {
  const { answers, problem } = asked;
  const refused: Trouble[] = problem?.hasOtherKeys === true ? [{ state: 'failed', problem: problem.message }] : [];
  if (answers.length === 0) {
    const [keys, ...others] = WORKER_CHECKS;
    const unknown = unknownFindings('No worker has answered.', refused.length > 0 ? others : WORKER_CHECKS);
    return [...(refused.length > 0 ? findings(keys, refused) : []), ...ownFindings(own, nowMs), ...unknown];
  }
  const of = (part: WorkerPart, state: HealthState): Trouble[] =>
    answers.flatMap(({ worker, problems: { [part]: problem } }) =>
      problem === undefined ? [] : [{ state, worker, problem }],
    );
  const keys = namesIn(answers, 'payloadKeys');
  const withoutKeys = lacking(answers, 'payloadKeys', { state: 'failed', problem: 'It lacks keys that others have.' });
  const withoutAuthorizations = lacking(answers, 'authorizations', {
    state: 'warning',
    problem: 'It lacks authorizations that others have.',
    remedy: SAME,
  });
  return [
    ...findings('payload-keys', [...refused, ...of('payloadKeys', 'failed'), ...withoutKeys], { keys }),
    ...clockFindings(answers),
    ...findings('source', of('source', 'failed')),
    ...findings('configuration', [...of('configuration', 'warning'), ...withoutAuthorizations, ...differing(answers)]),
    ...logFindings(answers, of('deliveryLog', 'failed')),
    ...diskFindings(answers),
    ...expiryFindings(answers, own, nowMs),
  ];
}

/** The findings about everything of the asking program that has expired, or soon will. */
export function ownFindings(own: readonly Expiring[], nowMs: number): Finding[] {
  return expiryFindings([], own, nowMs).filter(({ state }) => state !== 'ok');
}

type NamedPart = 'payloadKeys' | 'authorizations';

function namesIn(answers: readonly AnsweringWorker[], part: NamedPart): string[] {
  return [...new Set(answers.flatMap(({ [part]: names }) => names))];
}

/** Returns the workers that lack what others have: any of them may get a job's next slice. */
function lacking(
  answers: readonly AnsweringWorker[],
  part: NamedPart,
  trouble: Pick<Trouble, 'state' | 'problem' | 'remedy'>,
): Trouble[] {
  const all = namesIn(answers, part);
  return answers.flatMap(({ worker, [part]: names }): Trouble[] => {
    const missing = all.filter((name) => !names.includes(name));
    return missing.length === 0 ? [] : [{ ...trouble, worker, facts: { missing } }];
  });
}

/** Returns the authorizations that are not the same in all workers that have them: a job may be refused by chance. */
function differing(answers: readonly AnsweringWorker[]): Trouble[] {
  const all = answers.flatMap(({ worker, fingerprints = {} }) =>
    Object.entries(fingerprints).map(([name, print]) => ({ name, print, worker })),
  );
  return [...new Set(all.map(({ name }) => name))].flatMap((authorization): Trouble[] => {
    const own = all.filter(({ name }) => name === authorization);
    const prints = [...new Set(own.map(({ print }) => print))];
    const workersWith = (print: string) => own.flatMap((one) => (one.print === print ? one.worker : []));
    if (prints.length < 2) return [];
    return [
      {
        state: 'warning',
        facts: { authorization, workers: prints.map((print) => workersWith(print).join(' and ')) },
        problem: `The secrets or settings of the authorization ${authorization} are not the same in all workers.`,
        remedy: 'Give all workers of this task queue the same authorization. They take it over within seconds.',
      },
    ];
  });
}

function logFindings(answers: readonly AnsweringWorker[], troubles: readonly Trouble[]): Finding[] {
  const without = answers.filter(({ hasDeliveryLog }) => !hasDeliveryLog);
  if (without.length === answers.length) return findings('delivery-log', [], { workersWithLog: 0 });
  const problem = 'It keeps no delivery log, and others do.';
  const lackLogs = without.map(({ worker }): Trouble => ({ state: 'warning', worker, problem, remedy: SAME }));
  return findings('delivery-log', [...troubles, ...lackLogs]);
}

function clockFindings(answers: readonly AnsweringWorker[]): Finding[] {
  const clocks: readonly Pick<Trouble & AnsweringWorker, 'worker' | 'aheadMs'>[] = answers;
  const asker = answers.slice(0, 1).map(({ askerAheadMs }) => ({ worker: 'this program', aheadMs: askerAheadMs }));
  const wrong = [...clocks, ...asker].filter(({ aheadMs }) => Math.abs(aheadMs) > MOST_APART_MS);
  const troubles = wrong.map(({ worker, aheadMs }): Trouble => {
    const where = aheadMs > 0 ? 'ahead of' : 'behind';
    const problem = `Its clock is ${duration(Math.abs(aheadMs))} ${where} that of Temporal.`;
    return { state: 'warning', worker, facts: { aheadMs }, problem };
  });
  return findings('clocks', troubles);
}

function diskFindings(answers: readonly AnsweringWorker[]): Finding[] {
  const all = answers.flatMap(({ worker, disks }) => disks.map((one) => ({ worker, ...one })));
  const gib = (bytes: number): number => Math.round((bytes / GIB) * 10) / 10;
  const troubles = all.flatMap((one): Trouble[] => {
    const { folder, worker } = one;
    if ('code' in one)
      return [{ state: 'failed', worker, facts: { folder, code: one.code }, problem: 'It cannot be used.' }];
    if (one.freeBytes >= LITTLE_ROOM) return [];
    const facts = { folder, freeGiB: gib(one.freeBytes) };
    const state = one.freeBytes < NO_ROOM ? 'failed' : 'warning';
    return [{ state, worker, facts, problem: 'There is little room left.' }];
  });
  const least = Math.min(...all.map((one) => ('code' in one ? Infinity : one.freeBytes)));
  return findings('disk', troubles, all.length === 0 ? {} : { freeGiB: gib(least) });
}

const API_KEYS = 'apiKeys.';

/** When these API keys expire; those that never do are left out. */
export function keyEnds(keys: readonly { readonly name: string; readonly expires?: string | undefined }[]): Expiring[] {
  return keys.flatMap(({ name, expires: at }) => (at === undefined ? [] : [{ of: API_KEYS + name, at }]));
}

function expiryFindings(answers: readonly AnsweringWorker[], own: readonly Expiring[], nowMs: number): Finding[] {
  const ofWorkers = answers.flatMap(({ worker, expiring }) => expiring.map((one) => ({ ...one, worker })));
  const all = [...own.map((one) => ({ ...one, worker: 'this program' })), ...ofWorkers];
  const soon = all.filter(({ at }) => Date.parse(at) - nowMs < SOON_MS);
  const troubles = soon.map(({ of, at, worker }): Trouble => {
    const leftMs = Date.parse(at) - nowMs;
    const problem = leftMs <= 0 ? `${of} has ended.` : `${of} ends in ${duration(leftMs)}.`;
    const trouble = { worker, facts: { of, at }, problem };
    // Nothing of ours fails without it, and keys for some jobs are shown no other.
    if (of.startsWith(API_KEYS)) return { ...trouble, state: 'warning', affects: [] };
    return { ...trouble, state: leftMs <= 0 ? 'failed' : 'warning' };
  });
  return findings('certificates', troubles, { end: all.map(({ of, at }) => `${of} ${shownTime(at)}`) });
}

/** These come first: what they have not delivered is lost when Temporal forgets them. */
export function endedFindings(ended: readonly EndedJob[]): Finding[] {
  const troubles = ended.map((job): Trouble => {
    const { waiting, backfill, until } = job.left ?? {};
    const isEmpty = waiting === 0 && backfill === undefined;
    return {
      state: isEmpty || (waiting !== undefined && until === undefined) ? 'warning' : 'failed',
      job: job.jobId,
      facts: definedOf({ waiting, until }),
      problem: endedInWords(job),
    };
  });
  return findings('ended-jobs', troubles);
}

/** @param waiting how many wait for a decision in all. */
export function expiringFindings(expiring: readonly ExpiringLetters[], waiting: number): Finding[] {
  const troubles = expiring.map(({ job, ...facts }): Trouble => ({
    state: 'warning',
    facts,
    affects: [],
    ...definedOf({ job }),
    problem: expiringInWords(facts),
  }));
  return findings('dead-letters', troubles, { waiting });
}

/** A running job, as far as its health goes. */
export interface SeenJob {
  readonly jobId: string;
  /** Absent: it was not asked for lack of time, or gave no status. */
  readonly numbers?: {
    readonly waiting: number;
    readonly oldestWaitingAt?: string;
    readonly lastDeliveredAt?: string;
    readonly lastFailure?: LastFailure;
    readonly endpoint?: string;
    readonly pauseReason?: string;
  };
  /** It gave no status: how often its workflow task was tried, and why it failed. */
  readonly silent?: { readonly attempts: number; readonly code: string; readonly reason?: string };
}

/** Most jobs that are named because they gave no status, and nobody knows why. */
const MOST_NAMED = 20;

/** @param unserved the running jobs that no worker serves: they were not asked. */
export function jobFindings(all: readonly SeenJob[], unserved: readonly string[] = []): Finding[] {
  const failing = all.flatMap(({ jobId: job, silent }): Trouble[] => {
    if (silent === undefined || silent.code === '') return [];
    const { attempts, code, reason } = silent;
    const problem = `Its workflow task fails, so nothing is sent.${reason === undefined ? '' : ` A worker says: ${reason}`}`;
    return [{ state: 'failed', job, facts: { attempts, code }, problem }];
  });
  // Without a failure, a task was tried again because a worker went away, or hangs.
  const silent = all.filter((job) => job.silent?.code === '');
  const named = silent.slice(0, MOST_NAMED).map(({ jobId: job, silent }): Trouble => {
    return {
      state: 'unknown',
      job,
      problem: silent?.reason ?? 'It gave no status in time, or none that can be read here.',
    };
  });
  const left = all.filter((job) => (job.numbers ?? job.silent) === undefined);
  const notAsked = (affects: readonly string[], why: string): Trouble[] =>
    affects.length === 0 ? [] : [{ state: 'unknown', affects, problem: `${counted(affects.length, 'job')} ${why}` }];
  const idsOf = (jobs: readonly SeenJob[]) => jobs.map(({ jobId }) => jobId);
  const unknown = [
    ...notAsked(idsOf(silent.slice(MOST_NAMED)), 'more gave no status in time, or none that can be read here.'),
    ...notAsked(idsOf(left), 'could not be asked in time.'),
    ...notAsked(unserved, 'without a worker could not be asked.'),
  ];
  const running = all.length + unserved.length;
  return [
    ...findings('jobs', [...failing, ...named, ...unknown], { running }),
    ...findings('endpoints', [...all.flatMap(notDelivering), ...unknown]),
  ];
}

/** Its endpoint is unhealthy, refuses all from the start, or made it pause, or its workers can make no request. A job that a person has paused is as it should be. */
function notDelivering({ jobId: job, numbers }: SeenJob): Trouble[] {
  if (numbers === undefined) return [];
  const { waiting, oldestWaitingAt, lastDeliveredAt = '', lastFailure, endpoint, pauseReason } = numbers;
  const facts = { waiting, ...definedOf({ oldestWaitingAt }) };
  const verdict = lastFailure === undefined ? undefined : VERDICTS[judge(lastFailure)];
  const failure = lastFailure === undefined ? '' : ` (${failureInWords(lastFailure)})`;
  const [warning, id] = [{ state: 'warning', job, facts } as const, shellWord(job)];
  if (pauseReason !== undefined) {
    if (verdict?.asksTo !== 'end' && verdict?.asksTo !== 'pause') return [];
    const remedy = `Nothing is lost. Ask those who run the endpoint whether to go on: triggers resume ${id}`;
    return [{ ...warning, problem: `It is paused, so nothing is sent. ${pauseReason}`, remedy }];
  }
  const isSince = Date.parse(lastFailure?.at ?? '') > (Date.parse(lastDeliveredAt) || 0);
  if (endpoint === 'unhealthy' || (endpoint === 'new' && isSince && waiting > 0)) {
    const remedy = `Only a person can fix it, and nothing is lost. See what to check: triggers status ${id}`;
    const problem = `Its endpoint ${endpoint === 'new' ? 'has accepted nothing yet' : 'is unhealthy'}${failure}.`;
    return [{ ...warning, problem, ...(verdict?.isSetup === true ? { remedy } : {}) }];
  }
  if (waiting === 0 || !isSince || verdict?.isOfEverybody !== true) return [];
  const remedy = `Correct that: it is tried again every half a minute, and nothing is lost. See why: triggers status ${id}`;
  return [{ ...warning, problem: `Its workers can make no request${failure}.`, remedy }];
}

/** A running watch; without a status it did not answer. */
export interface SeenWatch {
  readonly audience: { readonly slug: string };
  readonly status: Pick<WatchStatus, 'trouble' | 'held'> | undefined;
  readonly unreadable?: string;
}

/** Keys for some jobs get none of these, since a watch publishes to all jobs. */
export function watchFindings(watches: readonly SeenWatch[]): Finding[] {
  const troubles = watches.flatMap(({ audience: { slug }, status, unreadable = 'It did not answer.' }): Trouble[] => {
    const trouble = (state: Trouble['state'], text: string): Trouble => ({
      state,
      affects: [],
      problem: `The watch of ${slug}: ${text}`,
    });
    if (status === undefined) return [trouble('unknown', unreadable)];
    const { trouble: failing, held } = status;
    if (failing !== undefined && failing.failures >= FAILURES_ALERTED)
      return [trouble('failed', `its rounds have failed since ${shownTime(failing.since)}. ${failing.reason}`)];
    if (held === undefined) return [];
    const text = `${shownCount(held.exits)} of ${shownCount(held.members)} members would leave at once, so the round is held.`;
    const remedy = `The next round decides, if it finds the same. To accept it now: triggers watch ${shellWord(slug)} --accept`;
    return [{ ...trouble('warning', text), remedy }];
  });
  return findings('watches', troubles, { running: watches.length });
}

/** An alert that was tried, and not accepted so far. */
export interface UnsentAlert {
  readonly workflowId: string;
  /** Absent: it is about a watch. */
  readonly job?: string;
  readonly attempts: number;
  readonly problem: string;
}

export function alertFindings(unsent: readonly UnsentAlert[]): Finding[] {
  const troubles = unsent.map(({ workflowId, attempts, ...rest }): Trouble => ({
    state: 'failed',
    facts: { workflowId, attempts },
    affects: [],
    ...rest,
  }));
  return findings('alerts', troubles);
}

/** Facts as people read them: `waiting 3; free GiB 1.5`, without those that the problem names, and without empty lists. */
export function factsInWords(facts: Finding['facts'], problem = ''): string {
  const words = (name: string): string =>
    name.replaceAll(/(?<=[a-z])[A-Z](?=[a-z]+(?![A-Z]))/g, (letter) => ` ${letter.toLowerCase()}`);
  const said = ` ${problem} `.replaceAll(/[.,;] /g, ' ');
  return Object.entries(facts)
    .map(([name, value]) => [words(name), [value].flat().map(factText).join(', ')] as const)
    .filter(([, value]) => value !== '' && !said.includes(` ${value} `))
    .map((one) => one.join(' '))
    .join('; ');
}

function factText(value: string | number): string {
  return typeof value === 'number' ? shownCount(value) : shownTime(value);
}
