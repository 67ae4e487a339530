import { expect, test } from '@jest/globals';
import { Client, type ConnectionLike } from '@temporalio/client';
import proto from '@temporalio/proto';
import { defaultFailureConverter } from '@temporalio/common';
import { type JobSummary, listJobs, withNumbers } from '../../../src/client/jobs/job-list.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../../src/domain/names.ts';
import { aBackfill, aStatus } from '../../cli/a-status.ts';
import { withBackfillTrouble } from '../../../src/client/jobs/stopped-jobs.ts';
import { GRPC, grpcCode } from '../../../src/client/calls/server-errors.ts';
import type { BackfillStatus } from '../../../src/contract/job-status.ts';
import { payloadConverter } from '../../../src/temporal/payload-converter.ts';
import { clientWith } from '../an-easy-worker.ts';
import { serverError } from '../recorded-job.ts';
import type { PlannedJob } from '../../../src/app/export-jobs.ts';
import { withTwins } from '../../../src/features/apply/plan-jobs.ts';
import { type Destination } from '../../../src/client/jobs/twins.ts';
import { urlDigests } from '../../../src/domain/workflow-visibility.ts';
import { queryStatus, startJobWorkflow } from '../../../src/client/jobs/job-service.ts';
import { FORM_DEFAULTS } from '../../../src/domain/form.ts';
import { fieldsInTemplates, unknownFields } from '../../../src/client/jobs/start-job.ts';
import { changesOf, stillSentOf } from '../../../src/client/jobs/edit-job.ts';

const { WorkflowExecutionInfo } = proto.temporal.api.workflow.v1;

const jobs = (count: number): JobSummary[] =>
  Array.from({ length: count }, (_, i) => ({
    jobId: `job-${i}`,
    workflowId: `export-job-job-${i}`,
    taskQueue: 'ours',
    state: 'running',
    running: true,
    startedAt: new Date(),
  }));

const client = clientWith({ query: () => Promise.resolve(aStatus()) });

test('an overview says which of many jobs it did not ask, so nobody takes them for silent', async () => {
  const found = await withNumbers(client, [
    ...jobs(501),
    ...jobs(1).map((job) => ({ ...job, workflowId: 'ended', running: false })),
  ]);
  const isAnswered = ({ numbers, isNotAsked }: (typeof found)[number]): boolean =>
    numbers !== undefined && isNotAsked === undefined;
  expect(found.slice(0, 500).every(isAnswered)).toBe(true);
  expect(found[500]).toMatchObject({ jobId: 'job-500', isNotAsked: true });
  expect(found[500]).not.toHaveProperty('numbers');
  expect(found[501]).not.toHaveProperty('isNotAsked');
});

/** What the server says of a run that was ended. */
const describe = () => Promise.resolve({ runId: 'one', status: { name: 'TERMINATED' } });

test('a job that was ended from outside is read once, and says what it had left and until when', async () => {
  let queries = 0;
  const query = () => {
    queries++;
    return Promise.resolve(aStatus({ state: 'running', waiting: 2_000, backfill: aBackfill() }));
  };
  const config = { workflowExecutionRetentionTtl: { seconds: 3600 } };
  const workflowService = { describeNamespace: () => Promise.resolve({ config }) };
  const ofOne = Object.assign(clientWith({ query, describe }), { workflowService });
  const endedAt = new Date('2026-11-25T08:00:00Z');
  const ended = jobs(1).map((job) => ({ ...job, running: false, endedFromOutside: true as const, endedAt }));
  const until = '2026-11-25T09:00:00.000000000Z';
  for (let times = 0; times < 2; times++)
    expect(await withNumbers(ofOne, ended)).toMatchObject([{ left: { until, waiting: 2_000, backfill: true } }]);
  expect(queries).toBe(1);
  // Without time it still says until when.
  const other = ended.map((job) => ({ ...job, workflowId: 'other' }));
  expect((await withNumbers(ofOne, other, { lookMs: 0 }))[0]?.left).toEqual({ until });
});

test('a job that failed before it began is not said to be recoverable', async () => {
  const query = () => Promise.resolve(aStatus({ state: 'starting', waiting: 3 }));
  const ended = jobs(1).map((job) => ({ ...job, running: false, endedFromOutside: true as const, state: 'failed' }));
  const workflowService = {
    describeNamespace: () => Promise.resolve({ config: { workflowExecutionRetentionTtl: { seconds: 1 } } }),
  };
  const [found] = await withNumbers(Object.assign(clientWith({ query, describe }), { workflowService }), ended);
  expect(found?.left).toEqual({ waiting: 3 });
});

test('an overview says that it did not ask jobs for lack of time', async () => {
  expect(await withNumbers(client, jobs(2), { lookMs: 0 })).toMatchObject([{ isNotAsked: true }, { isNotAsked: true }]);
});

test('the answer of a worker of others fails no overview: that job is shown without numbers', async () => {
  const answering = clientWith({ query: () => Promise.resolve('pong') });
  const nothing = clientWith({ query: () => Promise.resolve(null) });
  for (const one of [answering, nothing]) {
    const found = await withNumbers(one, jobs(1), { lastHour: true });
    expect(found).toMatchObject([{ jobId: 'job-0' }]);
    expect(found[0]).not.toHaveProperty('numbers');
  }
});

/** What the server says of a run of the job `vip`. */
const aRun = (status: 'RUNNING' | 'CONTINUED_AS_NEW' | 'COMPLETED') =>
  WorkflowExecutionInfo.fromObject({
    execution: { workflowId: jobWorkflowId('vip'), runId: status },
    type: { name: EXPORT_JOB },
    taskQueue: 'ours',
    status: `WORKFLOW_EXECUTION_STATUS_${status}`,
    startTime: { seconds: 1 },
    historyLength: 1,
  });

/** The jobs of a client whose server lists these runs, and has this one as the last. */
async function listed(runs: readonly object[], last: object, areRunning: boolean): Promise<JobSummary[]> {
  const workflowService = {
    listWorkflowExecutions: ({ query }: { query: string }) =>
      Promise.resolve({ executions: query.includes(EXPORT_JOB) ? runs : [] }),
    describeWorkflowExecution: () => Promise.resolve({ workflowExecutionInfo: last }),
  };
  // All of a connection that is used here.
  const connection = { workflowService, plugins: [] } as unknown as ConnectionLike;
  return await listJobs(new Client({ connection }), { areRunning });
}

test.each([true, false])(
  'a job that just continued as new is listed before the server lists its run (only the running: %s)',
  async (areRunning) => {
    const jobs = await listed([aRun('CONTINUED_AS_NEW'), aRun('CONTINUED_AS_NEW')], aRun('RUNNING'), areRunning);
    expect(jobs).toMatchObject([{ jobId: 'vip', running: true }]);
  },
);

test('a job whose newest run has ended is not listed as running', async () => {
  expect(await listed([aRun('CONTINUED_AS_NEW')], aRun('COMPLETED'), true)).toEqual([]);
});

const DOWN = { message: 'https://people.example.com did not give members: HTTP 503.', applicationFailureInfo: {} };
const LATE = { message: 'activity StartToClose timeout', timeoutFailureInfo: { timeoutType: 1 } };

/** What is said of a backfill whose child has these activities under way; an error, when the server has none. */
async function troubleIn(
  child: readonly object[] | Error,
  { state = 'running', of = 'RUNNING' }: { state?: BackfillStatus['state']; of?: string } = {},
): Promise<string | undefined> {
  const asked: string[] = [];
  const getHandle = (workflowId: string) => ({
    describe: async () => {
      asked.push(workflowId);
      if (child instanceof Error) throw child;
      return await Promise.resolve({ status: { name: of }, raw: { pendingActivities: child } });
    },
  });
  const loadedDataConverter = { payloadConverter, failureConverter: defaultFailureConverter, payloadCodecs: [] };
  // All of a client that the asking uses.
  const client = { options: { loadedDataConverter }, workflow: { getHandle } } as unknown as Client;
  const status = aStatus({ backfill: aBackfill({ n: 2, state }) });
  const said = await withBackfillTrouble(client, status);
  expect(asked).toEqual(state === 'running' || state === 'paused' ? ['export-job-vip-to-crm-backfill-2'] : []);
  const { trouble, ...rest } = said.backfill ?? {};
  expect({ ...said, backfill: rest }).toEqual(status);
  return trouble;
}

const reading = (attempt: number, lastFailure?: object) => ({
  activityType: { name: 'listMembers' },
  attempt,
  lastFailure: lastFailure ?? null,
});

test('a source that fails is reported with how often, and why the last time', async () => {
  expect(await troubleIn([reading(2, DOWN)])).toBe(
    'The source failed once when it was asked for the next members; it is asked again at least every minute. The last time: https://people.example.com did not give members: HTTP 503.',
  );
  expect(await troubleIn([reading(8, DOWN)])).toContain('failed 7 times in a row when');
  // An operator may have had the attempts counted anew.
  expect(await troubleIn([reading(1, DOWN)])).toContain('failed once when');
  expect(await troubleIn([reading(3, DOWN)], { state: 'paused' })).toContain('HTTP 503');
});

test('a source that does not answer at all is reported in words', async () => {
  expect(await troubleIn([reading(2, LATE)])).toMatch(/The last time: there was no answer within a minute\.$/);
});

test('a backfill reports no trouble while its source answers, or for failures that do not block reading', async () => {
  expect(await troubleIn([])).toBeUndefined();
  expect(await troubleIn([reading(1)])).toBeUndefined();
  expect(await troubleIn([{ ...reading(2, DOWN), activityType: { name: 'countMembers' } }])).toBeUndefined();
});

test('a backfill reports no trouble of a missing or ended child, nor once it is over', async () => {
  expect(await troubleIn([reading(2, DOWN)], { of: 'TERMINATED' })).toBeUndefined();
  expect(await troubleIn(serverError(GRPC.NOT_FOUND))).toBeUndefined();
  expect(await troubleIn([reading(2, DOWN)], { state: 'finished' })).toBeUndefined();
  expect(await troubleIn([reading(2, DOWN)], { state: 'cancelled' })).toBeUndefined();
});

const URL = 'https://crm.example/hook';

function at(
  jobId: string,
  webhookUrl = URL,
  ids: readonly string[] = ['vip'],
  form: Partial<Parameters<typeof urlDigests>[0]> = {},
): Destination {
  const urls = urlDigests({ webhookUrl, events: null, onEnter: null, onExit: null, ...form });
  return { jobId, urls, audiences: ids.map((id) => ({ id })) };
}

const created = (jobId: string): PlannedJob => ({
  jobId,
  action: 'create',
  definition: { label: jobId, audiences: ['vip'], webhookUrl: URL, authorization: null },
  audiences: [],
  existingUsers: false,
  warnings: [],
});
const stopped = (jobId: string): PlannedJob => ({ jobId, action: 'stop', waiting: 0 });

/** Each job of the plan with what it renames, and the jobs that its warnings name. */
function noted(plan: readonly PlannedJob[], wanted: readonly Destination[], others: readonly Destination[] = []) {
  const jobs = withTwins(plan, wanted, others).filter((job) => 'warnings' in job);
  return jobs.map((job) => [
    job.jobId,
    'renames' in job ? job.renames : undefined,
    job.warnings.map((text) => /job "([^"]*)"/.exec(text)?.[1]),
  ]);
}

test('a job with the definition of a stopped one is that one under another name, and only one is', () => {
  const plan = [created('crm-2'), created('crm-3'), stopped('crm')];
  expect(noted(plan, [at('crm-2'), at('crm-3', 'https://else.example/')], [at('crm')])).toEqual([
    ['crm-2', 'crm', ['crm']],
    ['crm-3', undefined, []],
  ]);
  expect(noted(plan, [at('crm-2'), at('crm-3')], [at('crm')])).toEqual([
    ['crm-2', 'crm', ['crm-3', 'crm']],
    ['crm-3', undefined, ['crm-2']],
  ]);
});

test.each([
  ['another URL', at('crm', 'https://crm.example/other')],
  ['another audience', at('crm', URL, ['news'])],
  ['another audience beside', at('crm', URL, ['vip', 'news'])],
  ['another URL for exits', at('crm', URL, ['vip'], { onExit: { webhookUrl: 'https://crm.example/exit' } })],
])('a job that has %s is no other one under another name', (_, former) => {
  expect(noted([created('crm-2'), stopped('crm')], [at('crm-2')], [former])).toEqual([['crm-2', undefined, []]]);
});

test.each([
  ['all of it', at('other'), ['other']],
  ['one audience of several', at('other', URL, ['news', 'vip']), ['other']],
  ['its exits alone', at('other', 'https://else.example/', ['vip'], { onExit: { webhookUrl: URL } }), ['other']],
  ['another audience', at('other', URL, ['news']), []],
  ['another URL', at('other', 'https://else.example/'), []],
])('a plan warns of a running job that tells the same URL of %s, if both send the same', (_, other, named) => {
  expect(noted([created('crm')], [at('crm')], [other])).toEqual([['crm', undefined, named]]);
});

test('a job that sends enters and a job that sends exits are no twins', () => {
  const enters = at('enters', URL, ['vip'], { events: ['enter'] });
  const exits = at('exits', URL, ['vip'], { events: ['exit'] });
  expect(noted([created('enters'), created('exits')], [enters, exits])).toEqual([
    ['enters', undefined, []],
    ['exits', undefined, []],
  ]);
});

test('a running job is warned of only where the plan changes the messages, or their target', () => {
  const change = (edit: object): PlannedJob => ({ jobId: 'crm', action: 'change', edit, changes: [], warnings: [] });
  expect(noted([change({ webhookUrl: URL })], [at('crm')], [at('other')])).toEqual([['crm', undefined, ['other']]]);
  expect(noted([change({ label: 'New' })], [at('crm')], [at('other')])).toEqual([['crm', undefined, []]]);
});

/** A client whose server answers the questions to a job with this, one after the other. */
function clientOf(answers: (() => Promise<unknown>)[]): Client {
  return clientWith({ query: () => answers.shift()?.() });
}

test.each(['UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'UNKNOWN'] as const)(
  'a job is asked again when the server has trouble (%s)',
  async (code) => {
    const client = clientOf([() => Promise.reject(serverError(GRPC[code])), () => Promise.resolve(aStatus())]);
    expect(await queryStatus(client, 'vip')).toEqual(aStatus());
  },
);

test('a job is not asked again when the server would refuse again', async () => {
  const client = clientOf([() => Promise.reject(serverError(GRPC.INVALID_ARGUMENT))]);
  await expect(queryStatus(client, 'vip')).rejects.toThrow(serverError(GRPC.INVALID_ARGUMENT));
});

test('the status of a job that has long been idle does not repeat its old rate', async () => {
  const dayAgoMs = Date.now() - 86_400_000;
  const meter = { since: dayAgoMs, at: dayAgoMs, one: 302, five: 300 };
  const ratePerSecond = { oneMinute: 302, fiveMinutes: 300, meter };
  const status = await queryStatus(clientOf([() => Promise.resolve(aStatus({ ratePerSecond }))]), 'vip');
  expect(status.ratePerSecond).toEqual({ oneMinute: 0, fiveMinutes: 0 });
});

/** How often a server is asked that refuses the first start, and what comes of it. */
async function started(missingSearchAttributes: readonly string[]): Promise<{ calls: number; outcome: unknown }> {
  let calls = 0;
  const start = async () => {
    if (++calls === 1) throw serverError(GRPC.INVALID_ARGUMENT);
    return await Promise.resolve({ firstExecutionRunId: 'a run' });
  };
  const client = { workflow: { start } } as unknown as Client; // All of a client that is used here.
  const definition = {
    ...FORM_DEFAULTS,
    label: 'VIP',
    audiences: [],
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    exportFields: [],
  };
  const job = { definition, audiences: [], missingSearchAttributes };
  const outcome = await startJobWorkflow(client, 'vip', 'q', {}, job).catch(grpcCode);
  return { calls, outcome };
}

test('a start is tried again while the server does not take search attributes yet that it lists', async () => {
  expect(await started([])).toEqual({ calls: 2, outcome: 'a run' });
});

test('a start without search attributes that the server refuses is not tried again', async () => {
  expect(await started(['ExportJobStatus'])).toEqual({ calls: 1, outcome: GRPC.INVALID_ARGUMENT });
});

const KNOWN = ['email', 'name', 'address', 'address.city'];

test.each([
  ['emial', 'the field "emial". Did you mean "email"?'],
  ['address.ctiy', 'the field "address.ctiy". Did you mean "address.city"?'],
  ['email,name', 'the field "email,name". Name each field by itself: "email", "name".'],
  ['email, phone', 'the field "email, phone". Name each field by itself: "email", "phone".'],
  ['loyalty_points', 'the field "loyalty_points".'],
])('a warning about %s, which no profile has, says what was most likely meant', (field, said) => {
  expect(unknownFields(['email', field], KNOWN)).toEqual([`No profile that was looked at has ${said}`]);
});

test('the fields that templates name are looked for like export fields', () => {
  const job = {
    webhookUrl: 'https://a.example/{{ data.crm_id }}/data.no?x={{ body.data.size }}',
    headers: { 'x-a': '{{ data.a-b.c | append: "data.no" }}' },
    body: 'data.no {% for t in data.tags %}{{ t.data.no.first }}{% endfor %}{{ data.tags.first.x }}{{data["x"]}}{{ mydata.no }}',
    onEnter: { body: '[{% for item in items %}{{ item.data.email | json }}{% endfor %}]' },
    onExit: { headers: { 'x-a': '{%if data.emial%}{%endif%}' }, webhookUrl: null },
  };
  expect(fieldsInTemplates(job)).toEqual(['crm_id', 'size', 'a-b.c', 'tags', 'no', 'email', 'emial']);
  expect(unknownFields(['segments_all', 'segment_events.first', '_audience'], KNOWN)).toEqual([]);
});

test('no warning comes for fields that a profile has, for fields always sent, or without any profile', () => {
  expect(unknownFields([...KNOWN, 'segment_events'], KNOWN)).toEqual([]);
  expect(unknownFields(['emial'], [])).toEqual([]);
});

test('no warning comes where not every field is listed: too many, or too deep', () => {
  const many = Array.from({ length: 1000 }, (_, n) => `field-${n}`);
  expect(unknownFields(['emial'], many)).toEqual([]);
  expect(unknownFields(['a.b.c.d.e.f.g.h.i'], KNOWN)).toEqual([]);
});

test('an edit says which fields are different now, in the order of the form', () => {
  const before = aStatus({ parallelRequestCount: 5, label: 'VIP' });
  const after = aStatus({ parallelRequestCount: 50, label: 'VIP to CRM', exportFields: ['email'] });
  expect(changesOf(before, after, {})).toEqual([
    { field: 'label', from: 'VIP', to: 'VIP to CRM' },
    { field: 'exportFields', from: before.exportFields, to: ['email'] },
    { field: 'parallelRequestCount', from: 5, to: 50 },
  ]);
});

test('an edit lists a given webhook URL as changed though it looks the same: only its origin is shown', () => {
  const status = aStatus({});
  expect(changesOf(status, status, { webhookUrl: 'https://hooks.example.com/other' })).toEqual([
    { field: 'webhookUrl', from: status.webhookUrl, to: status.webhookUrl },
  ]);
  expect(changesOf(status, status, { label: status.label })).toEqual([]);
});

test('an edit that takes an audience away says that what waits about it is still sent', () => {
  const before = aStatus({ waiting: 1200 });
  const [first, ...others] = before.audiences;
  expect(stillSentOf(before, others)).toContain(`1,200 waiting triggers stay with the job: those about ${first?.slug}`);
  expect(stillSentOf(before, before.audiences)).toBeUndefined();
  expect(stillSentOf(aStatus({ waiting: 0 }), others)).toBeUndefined();
});
