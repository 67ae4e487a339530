import { expect, test } from '@jest/globals';
import { checkJobDefinition, JOB_FIELDS } from '../../src/contract/export-job.ts';
import { EDITABLE_FIELDS, editableOf, FORM_DEFAULTS, FORM_FIELDS } from '../../src/domain/form.ts';
import { jobRecord } from './job/a-record.ts';

const LEAST = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com/hook', authorization: null };
const { definition } = jobRecord(5);

test('workflows know the fields of the form in order, and the defaults that its check fills in', () => {
  expect(FORM_FIELDS).toEqual(JOB_FIELDS);
  expect(checkJobDefinition(LEAST)).toEqual({ ok: true, value: { ...LEAST, ...FORM_DEFAULTS } });
});

test('every field of the form can be edited except existing users, which matter at the start only', () => {
  expect(FORM_FIELDS.filter((field) => !EDITABLE_FIELDS.some((one) => one === field))).toEqual(['existingUsers']);
  expect(Object.keys(editableOf({ later: 1, ...definition, description: undefined }))).toEqual(
    JOB_FIELDS.filter((field) => field !== 'existingUsers' && field !== 'description'),
  );
});
