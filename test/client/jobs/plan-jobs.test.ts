import { expect, test } from '@jest/globals';
import type { PlannedJob } from '../../../src/client/export-jobs.ts';
import { withTwins } from '../../../src/client/jobs/plan-jobs.ts';
import type { Destination } from '../../../src/domain/twins.ts';

const URL = 'https://crm.example/hook';

function at(
  jobId: string,
  webhookUrl = URL,
  ids: readonly string[] = ['vip'],
  form: Partial<Destination['form']> = {},
) {
  const audiences = ids.map((id) => ({ id }));
  return { jobId, audiences, form: { webhookUrl, events: null, onEnter: null, onExit: null, ...form } };
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

test('a job that is told what a stopped one was told is that one under another name, and only one is', () => {
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
])('a job that runs beside it and tells the same URL of %s is warned of, if both send the same', (_, other, named) => {
  expect(noted([created('crm')], [at('crm')], [other])).toEqual([['crm', undefined, named]]);
});

test('one that sends enters and one that sends exits are no twins', () => {
  const enters = at('enters', URL, ['vip'], { events: ['enter'] });
  const exits = at('exits', URL, ['vip'], { events: ['exit'] });
  expect(noted([created('enters'), created('exits')], [enters, exits])).toEqual([
    ['enters', undefined, []],
    ['exits', undefined, []],
  ]);
});

test('a running job is warned of only where the plan changes what is told, or where', () => {
  const change = (edit: object): PlannedJob => ({ jobId: 'crm', action: 'change', edit, changes: [], warnings: [] });
  expect(noted([change({ webhookUrl: URL })], [at('crm')], [at('other')])).toEqual([['crm', undefined, ['other']]]);
  expect(noted([change({ label: 'New' })], [at('crm')], [at('other')])).toEqual([['crm', undefined, []]]);
});
