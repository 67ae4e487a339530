import { expect, test } from '@jest/globals';
import { jobHasWords } from '../../src/words/text.ts';

const JOB = { jobId: 'crm-1', label: 'VIPs to the CRM', audiences: [{ slug: 'vip' }, { slug: 'vip-plus' }] };

test.each([
  ['', true],
  ['crm', true],
  ['CRM vips', true],
  ['plus crm-1', true],
  ['vip news', false],
  // Words of two fields that stand beside each other are no word.
  ['crm-1VIPs', false],
])('a job that has all words of "%s": %s', (search, isFound) => {
  expect(jobHasWords(JOB, search)).toBe(isFound);
});

test('a job whose id alone is known is found by its id', () => {
  expect(jobHasWords({ jobId: 'crm-1' }, 'crm')).toBe(true);
});
