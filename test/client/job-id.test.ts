import { expect, test } from '@jest/globals';
import { jobIdFromLabel } from '../../src/client/job-id.ts';
import { JOB_ID_PATTERN } from '../../src/domain/names.ts';

test.each([
  ['VIP to CRM', 'vip-to-crm'],
  ['  Über-Kunden → Café!  ', 'uber-kunden-cafe'],
  ['a'.repeat(200), 'a'.repeat(100)],
  [`${'a'.repeat(99)} b`, 'a'.repeat(99)],
])('the label %j becomes the id %j', (label, id) => {
  expect(jobIdFromLabel(label)).toBe(id);
  expect(id).toMatch(JOB_ID_PATTERN);
});

test('a label without letters or digits makes no id', () => {
  expect(jobIdFromLabel('→ ★')).toBeUndefined();
});
