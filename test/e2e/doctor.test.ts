import { DESCRIBE_WORKER } from '../../src/features/doctor/ports.ts';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { Client } from '@temporalio/client';
import { findHealth } from '../../src/features/doctor/health.ts';
import { workerRpc } from '../../src/client/jobs/worker-rpc.ts';
import { expiringLetters } from '../../src/client/jobs/waiting-letters.ts';
import { deliveryLogIn } from '../../src/features/delivery-log/config.ts';
import { newApiKey } from '../../src/config/references.ts';
import type { Finding, Health } from '../../src/features/doctor/findings.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { labOfFile, labOfTest } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { temporal } from '../support/temporal.ts';
import { Operator } from '../support/triggers-cli.ts';
import { makeCertificateAuthority } from '../webhook/a-certificate-authority.ts';
import { afterFile } from '../webhook/a-server.ts';

const log = tempFolder();
writeFileSync(
  join(log, 'deliveries.db'),
  'This is no database, and long enough for nobody to take it for an empty one.',
);
const down = await startRecorder({ answer: () => ({ status: 503 }) });
afterFile(() => down.close());
const expired = makeCertificateAuthority().issue({ names: ['us'], isClient: true, notAfter: new Date('2026-01-01') });
const lab = await labOfFile({
  config: {
    deliveryLog: deliveryLogIn(log),
    alerts: { url: down.url, authorization: null, backlogMinutes: 15 },
    authorizations: {
      crm: {
        origins: ['https://crm.example.com'],
        headers: {},
        queryParameters: {},
        clientCertificate: expired,
        signingSecrets: [],
      },
    },
  },
});
const NOBODYS = `nobody-${randomUUID()}`;
const operator = new Operator(lab.taskQueue);
/** Its endpoint is down, and so is the webhook for the alert about that. */
let unhealthy: string;
/** No worker serves its task queue. */
const unserved = randomUUID();
/** Their states are of a newer release. More jobs are silent than the doctor names without a reason; it lists them by their ids. */
const newerJobs = Array.from({ length: 21 }, (_, i) => `newer-${randomUUID()}-${i}`).sort();
const newer = String(newerJobs.at(-1));

beforeAll(async () => {
  const start = async (jobId: string, taskQueue: string, v: number) =>
    await lab.client.workflow.start(EXPORT_JOB, { workflowId: jobWorkflowId(jobId), taskQueue, args: [{ v }] });
  for (const one of newerJobs) await start(one, lab.taskQueue, 99);
  const waiting = await start(unserved, NOBODYS, 1);
  afterFile(async () => {
    await waiting.terminate();
    for (const one of newerJobs) await lab.handle(one).terminate();
  });
  unhealthy = await lab.start({ webhookUrl: down.url });
  for (const user of ['1', '2', '3']) await lab.jobs.enter(unhealthy, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(unhealthy, ({ endpoint }) => endpoint?.state === 'unhealthy');
});

/** What is not well here; the server has jobs and watches of other tests, too. */
const ours = (found: readonly Finding[]) =>
  found
    .filter(
      ({ check, state, job = newer, taskQueue = NOBODYS }) =>
        state !== 'ok' && check !== 'watches' && [newer, unhealthy].includes(job) && taskQueue === NOBODYS,
    )
    .map(
      ({ check, state, facts }) => `${check} ${state}${typeof facts['code'] === 'string' ? ` ${facts['code']}` : ''}`,
    );

const ALL = [
  'alerts failed',
  'certificates failed',
  'delivery-log failed',
  'endpoints unknown',
  'endpoints warning',
  'jobs failed WORKFLOW_WORKER_UNHANDLED_FAILURE',
  'jobs unknown',
  'workers failed',
];

const hasAll = (findings: readonly Finding[]) => ALL.every((one) => ours(findings).includes(one));

async function printed(): Promise<{ readonly code: number | null; readonly health: Health; readonly stderr: string }> {
  const { code, stdout, stderr } = await operator.run(['doctor', '--json']);
  return { code, health: JSON.parse(stdout) as Health, stderr }; // As it says in its help.
}

test('it finds what is wrong, by code, and ends with 1', async () => {
  const { code, health, stderr } = await answerWhen(
    printed,
    // Jobs are listed, and alerts refused, a moment later.
    ({ health: { findings } }) => hasAll(findings),
  );
  expect([...new Set(ours(health.findings))].sort()).toEqual(ALL);
  expect([code, health.state, JSON.parse(stderr)]).toMatchObject([1, 'failed', { error: { name: 'NotHealthy' } }]);
  const of = (check: string) => health.findings.find((one) => one.check === check);
  expect(of('certificates')?.facts).toMatchObject({ of: 'authorizations.crm.clientCertificate' });
  expect(of('temporal')).toMatchObject({ state: 'ok', facts: { historyShards: expect.any(Number) } });
  // Jobs that no worker can answer for cost no time.
  expect(health.findings.filter(({ job }) => job === unserved)).toEqual([]);
  for (const one of health.findings) if (one.state === 'failed') expect(one.remedy).toBeDefined();
});

test('a worker tells a fingerprint of each of its authorizations, and nothing else of their secrets', async () => {
  const answer = await workerRpc(lab.client, lab.taskQueue, DESCRIBE_WORKER, null);
  expect(answer).toMatchObject({
    authorizations: ['crm'],
    fingerprints: { crm: expect.stringMatching(/^[0-9a-f]{4}$/) },
  });
  expect(JSON.stringify(answer)).not.toContain('PRIVATE KEY');
});

test('a job that somebody terminated comes first, with about how much it had not delivered', async () => {
  const job = await lab.start({ webhookUrl: down.url });
  for (const user of ['1', '2']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 2);
  await lab.handle(job).terminate();
  const isTold = ({ job: of }: Finding) => of === job;
  const { health } = await answerWhen(printed, ({ health: { findings } }) => findings.some(isTold));
  expect(health.findings[0]?.check).toBe('ended-jobs');
  expect(health.findings.find(isTold)).toMatchObject({
    state: 'failed',
    facts: { waiting: 2, until: expect.any(String) },
  });
});

test('dead letters are counted by their jobs and by when they expire', async () => {
  const refusing = await startRecorder({ answer: () => ({ status: 422 }) });
  afterFile(() => refusing.close());
  const job = await lab.start({ webhookUrl: refusing.url, answers: { '422': 'dead-letter' } });
  for (const user of ['1', '2']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  const DAY_MS = 86_400_000;
  const within = async (fromDays: number, untilDays: number) => {
    const found = await expiringLetters(lab.client, Date.now() + fromDays * DAY_MS, Date.now() + untilDays * DAY_MS);
    return found.filter((one) => one.job === job);
  };
  const [found] = await answerWhen(
    () => within(0, 31),
    ([one]) => one?.letters === 2,
  );
  expect((Date.parse(found?.firstAt ?? '') - Date.now()) / DAY_MS).toBeCloseTo(30, 2);
  expect(await within(0, 29.9)).toEqual([]);
  expect(await within(30.1, 31)).toEqual([]);
});

test('without Temporal that is the finding, and everything else is unknown', async () => {
  const { code, stdout } = await operator.run(['doctor', '--json'], { env: { TEMPORAL_ADDRESS: '127.0.0.1:1' } });
  const { findings } = JSON.parse(stdout) as Health;
  expect(code).toBe(1);
  expect(findings[0]).toMatchObject({ check: 'temporal', state: 'failed', facts: { code: 'ServerUnreachable' } });
  expect(new Set(findings.slice(1).map(({ state }) => state))).toEqual(new Set(['unknown']));
});

test('in a namespace of its own without search attributes and workers, these are missing', async () => {
  const namespace = `doctor-${randomUUID()}`;
  const body = JSON.stringify({ namespace, workflowExecutionRetentionPeriod: '3600s' });
  await fetch(`${temporal.httpUrl}/api/v1/namespaces`, { method: 'POST', body });
  const client = new Client({ connection: lab.client.connection, namespace });
  const connection = { connectionOptions: {}, namespace };
  // A server takes a moment to know a namespace everywhere.
  const found = await answerWhen(
    () => findHealth(client, { taskQueue: 'q', connection }),
    (all) => all.some(({ check, state }) => check === 'workers' && state === 'failed'),
  );
  const wrong = found.filter(({ state }) => state === 'failed' || state === 'warning');
  expect(wrong.map(({ check }) => check).sort()).toEqual(['retention', 'search-attributes', 'workers']);
});

test('workers with other payload keys are found out, and a source that is away', async () => {
  const sealed = await labOfTest({ config: { payloadKeys: [`theirs:${Buffer.alloc(32, 1).toString('base64')}`] } });
  const { taskQueue } = sealed;
  const env = {
    TRIGGERS_TASK_QUEUE: taskQueue,
    TRIGGERS_PAYLOAD_KEYS: `ours:${Buffer.alloc(32, 2).toString('base64')}`,
  };
  const of = async (check: string, options: object = {}): Promise<Finding[]> => {
    const { stdout } = await operator.run(['doctor', '--json'], options);
    return (JSON.parse(stdout) as Health).findings.filter((one) => one.check === check);
  };
  // A worker on a busy machine may answer too late.
  const isKnown = (all: readonly Finding[]) =>
    all.every(({ check, state }) => check !== 'payload-keys' || state !== 'unknown');
  expect(await answerWhen(() => of('payload-keys', { env }), isKnown)).toContainEqual(
    expect.objectContaining({ state: 'failed' }),
  );
  const connection = { connectionOptions: {}, namespace: temporal.namespace };
  sealed.source.failure = new Error('It is down.');
  const findAs = async ({ client }: { readonly client: Client }) =>
    await answerWhen(() => findHealth(client, { taskQueue, connection }), isKnown);
  const found = await findAs(sealed);
  const worker = expect.stringMatching(/^\d+@/);
  expect(found).toContainEqual(expect.objectContaining({ check: 'source', state: 'failed', worker }));
  const keys = [expect.stringMatching(/^theirs\/[0-9a-f]{16}$/)];
  expect(found).toContainEqual({ check: 'payload-keys', state: 'ok', facts: { keys } });
  const withoutKeys = await findAs(lab);
  expect(withoutKeys).toContainEqual(expect.objectContaining({ check: 'payload-keys', state: 'failed' }));
  expect(withoutKeys).toContainEqual(expect.objectContaining({ check: 'workers', state: 'ok', taskQueue }));
});

test('a worker that hangs beside one that answers is a warning', async () => {
  const { client, taskQueue } = await labOfTest();
  const { namespace } = temporal;
  const hung = { namespace, taskQueue: { name: taskQueue }, identity: '1@hung' };
  const found = await answerWhen(
    async () => {
      const taken = client.withDeadline(Date.now() + 6_000, () => client.workflowService.pollWorkflowTaskQueue(hung));
      const connection = { connectionOptions: {}, namespace };
      const [health] = await Promise.all([findHealth(client, { taskQueue, connection }), taken.catch(() => undefined)]);
      return health;
    },
    (all) =>
      all.some(({ check, state, taskQueue: of }) => check === 'workers' && state === 'warning' && of === taskQueue),
  );
  expect(found).toContainEqual(expect.objectContaining({ check: 'source', state: 'ok' }));
});

test('the API answers the same; to a key for one job, only what is about it', async () => {
  const one = newApiKey();
  const all = newApiKey();
  const nobodys = newApiKey();
  const keys = {
    one: { hash: one.hash, may: ['read' as const], jobs: [unhealthy] },
    all: { hash: all.hash, may: ['read' as const] },
    nobodys: { hash: nobodys.hash, may: ['read' as const], jobs: [unserved] },
  };
  const api = await apiOf(lab, { keys });
  const asked = async ({ secret }: { readonly secret: string }) => {
    const { status, body } = await askOf(api, '/v1/health', { headers: { authorization: `Bearer ${secret}` } });
    expect(status).toBe(200);
    return body as unknown as Health;
  };
  try {
    await answerWhen(
      () => asked(all),
      ({ findings }) => hasAll(findings),
    );
    const own = await answerWhen(
      () => asked(one),
      ({ findings }) => findings.length === 2,
    );
    expect(new Set(own.findings.map(({ job }) => job))).toEqual(new Set([unhealthy]));
    expect(own).toMatchObject({ state: 'failed', findings: [{ check: 'alerts' }, { check: 'endpoints' }] });
    // It says no more than that nothing is sent.
    const ofNobodys = await asked(nobodys);
    expect(ofNobodys.findings[0]).toMatchObject({ check: 'workers', state: 'failed', facts: {} });
    expect(JSON.stringify(ofNobodys)).not.toContain(NOBODYS);
  } finally {
    await api.close();
  }
});
