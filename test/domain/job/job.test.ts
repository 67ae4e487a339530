import { expect, test } from '@jest/globals';
import type { JobDefinition } from '../../../src/contract/export-job.ts';
import { deliverySettings } from '../../../src/domain/job/job.ts';
import { AJob } from './a-job.ts';
import { jobRecord } from './a-record.ts';

function settingsOf(said: Partial<JobDefinition>) {
  const { definition, ...record } = jobRecord(5);
  return deliverySettings({ ...record, definition: { ...definition, ...said } });
}

test('the answers to an event are its own and, where it says nothing, those of its job', () => {
  const answers = { '404': 'retry', '4xx': 'pause' } as const;
  const onExit = { method: 'DELETE', answers: { '404': 'delivered', '5xx': 'dead-letter' } } as const;
  expect(settingsOf({ answers, onExit })).toMatchObject({
    answers,
    eventAnswers: { exit: { '404': 'delivered', '4xx': 'pause', '5xx': 'dead-letter' } },
  });
  expect(settingsOf({ answers, onExit: { method: 'DELETE', answers: null } })).not.toHaveProperty('eventAnswers');
});

test('a job that says of an event only what its answers mean sends what it would send without', () => {
  const onExit = { answers: { '404': 'delivered' } } as const;
  expect(settingsOf({ onExit })).toEqual({ ...settingsOf({}), eventAnswers: { exit: onExit.answers } });
  expect(settingsOf({ onExit: { ...onExit, method: 'DELETE' } }).request).toEqual({
    label: 'model',
    onExit: { method: 'DELETE' },
  });
});

test('an edit of what answers to an event mean makes no new endpoint of the old one', () => {
  const job = new AJob(4).signals('1');
  job.send();
  const edit = (onExit: JobDefinition['onExit']): boolean => {
    job.edit({ onExit });
    return job.state.breaker.isUnproven;
  };
  expect(edit({ answers: { '404': 'delivered' } })).toBe(false);
  expect(edit({ answers: { '404': 'retry' } })).toBe(false);
  expect(edit({ method: 'DELETE', answers: { '404': 'retry' } })).toBe(true);
});
