import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { ClientClosed, ExportJobs } from '../../src/client/export-jobs.ts';

const NOT_ASKED: ReadonlySet<string> = new Set(['constructor', 'close']);

test('everything that is asked of a closed client is told that it is closed', async () => {
  const jobs = new ExportJobs(new Proxy({} as Client, { get: () => () => 'not closed' })); // Never asked.
  await jobs.close();
  const asked = [jobs, jobs.deadLetters, jobs.watches].flatMap((one: object) =>
    Object.getOwnPropertyNames(Object.getPrototypeOf(one))
      .filter((name) => !NOT_ASKED.has(name))
      .map((name) => ({ name, ask: async () => await call(one, name) })),
  );
  expect(asked.length).toBeGreaterThan(25);
  for (const { name, ask } of asked)
    expect({ name, error: await ask().catch((error: unknown) => error) }).toEqual({ name, error: new ClientClosed() });
});

async function call(one: object, name: string): Promise<unknown> {
  const method: unknown = Reflect.get(one, name);
  if (typeof method !== 'function') throw new Error(`${name} is no method`);
  const answer: unknown = Reflect.apply(method, one, one instanceof ExportJobs ? ofJobs(name) : ofOthers(name));
  if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer)
    for await (const _ of answer as AsyncIterable<unknown>) break; // All streams of ours are of that kind.
  return await answer;
}

/** As `compare` gives it. */
const DIFFERENCE = {
  id: '0d5e0ffa-0c0b-4c1e-9a51-6a2f0c9e7d41',
  audience: { id: 'a', slug: 'vip', name: 'Vip' },
  first: { enters: ['1'], exits: [] },
  theirs: 10,
  members: 11,
  both: 10,
  enters: 1,
  exits: 0,
};

function ofJobs(name: string): readonly unknown[] {
  if (name === 'publish') return [[{ audience: 'vip', user: 'u1', event: 'enter' }]];
  if (name === 'plan') return [{ job: {} }];
  if (name === 'overview') return [];
  if (name === 'reconcile' || name === 'forget') return ['job', DIFFERENCE];
  return name === 'sample' || name === 'test' ? [{ jobId: 'job' }] : ['job', {}];
}

function ofOthers(name: string): readonly unknown[] {
  if (name === 'start') return [['vip']];
  return name === 'list' || name === 'waiting' ? [{}] : ['one'];
}
