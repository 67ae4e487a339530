import { expect, test } from '@jest/globals';
import { describeStarting } from '../../../src/domain/dispatcher/describing.ts';
import { detailsOf } from '../../../src/domain/job-details.ts';
import { AJob } from './a-job.ts';
import { jobRecord } from './a-record.ts';

const SECRET = 's3cret';
const webhookUrl = `https://hooks.example.com/services/${SECRET}?token=${SECRET}`;
const record = jobRecord(1);

test('a status shows where a job sends to, and nothing that would let others send there', () => {
  const job = new AJob(1, { definition: { ...record.definition, webhookUrl } });
  expect(job.status.webhookUrl).toBe('https://hooks.example.com/…?token=…');
  expect(JSON.stringify(job.status)).not.toContain(SECRET);
  expect(detailsOf(job.status)).not.toContain(SECRET);
  job.signal('1');
  expect(job.cut()[0]?.settings.webhookUrl).toBe(webhookUrl);
});

test.each([
  [{ webhookUrl }, 'https://hooks.example.com/…?token=…'],
  [{ webhookUrl: `https://me:${SECRET}@hooks.example.com/` }, 'https://hooks.example.com/'],
  [{ webhookUrl: SECRET }, '…'],
  [{ webhookUrl: [SECRET] }, ''],
  [SECRET, ''],
])('so does that of a job whose definition was not looked at yet: %j', (definition, shown) => {
  const status = describeStarting(definition, 'vip', 0, false);
  expect(status.webhookUrl).toBe(shown);
  expect(JSON.stringify(status)).not.toContain(SECRET);
});
