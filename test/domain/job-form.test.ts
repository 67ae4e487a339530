import { expect, test } from '@jest/globals';
import { checkJobDefinition, JOB_FIELDS, type JobDefinition } from '../../src/contract/export-job.ts';
import {
  completed,
  EDITABLE_FIELDS,
  editableOf,
  FORM_DEFAULTS,
  FORM_FIELDS,
  laterFieldsOf,
  withoutLaterFields,
} from '../../src/domain/job-form.ts';
import { jobRecord } from './job/a-record.ts';

const LEAST = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/hook', authorization: null };
const { definition } = jobRecord(5);

test('workflows know the fields of the form in its order, and the defaults that its check fills in', () => {
  expect(FORM_FIELDS).toEqual(JOB_FIELDS);
  expect(checkJobDefinition(LEAST)).toEqual({ ok: true, value: { ...LEAST, ...FORM_DEFAULTS } });
});

test('all of the form can be edited but existing users, which are about the start', () => {
  expect(FORM_FIELDS.filter((field) => !EDITABLE_FIELDS.some((one) => one === field))).toEqual(['existingUsers']);
  expect(Object.keys(editableOf({ later: 1, ...definition, description: undefined }))).toEqual(
    JOB_FIELDS.filter((field) => field !== 'existingUsers' && field !== 'description'),
  );
});

test.each(Object.entries(FORM_DEFAULTS))(
  'a definition that was accepted before there was "%s" has its default; all else stays, in its order',
  (field, byDefault) => {
    const older = Object.fromEntries(Object.entries({ ...definition, later: 1 }).filter(([name]) => name !== field));
    const now = completed(older as unknown as JobDefinition); // That is what an older release carried.
    expect(now).toEqual({ ...older, [field]: byDefault });
    expect(now).toMatchObject({ later: 1, parallelRequestCount: 5, label: 'model' });
  },
);

test('what a complete definition says is not touched', () => {
  const said: JobDefinition = { ...definition, exportFields: ['email'], parallelRequestCount: 7, backfillPerSecond: 1 };
  expect(completed(said)).toBe(said);
});

test('the fields of a later release are told apart, whatever they are called', () => {
  const later = { ofALaterRelease: null, constructor: 1 };
  expect(withoutLaterFields({ ...definition, ...later })).toEqual(definition);
  expect(laterFieldsOf({ ...definition, ...later })).toEqual(later);
});
