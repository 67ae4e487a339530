import { expect, test } from '@jest/globals';
import type { PreparedJob } from '../../src/contract/ports.ts';
import { describeDeadLetter } from '../../src/domain/job/dead-letter.ts';
import { FORM_DEFAULTS } from '../../src/domain/form.ts';
import { deadLetterDetails, urlDigests } from '../../src/domain/workflow-visibility.ts';
import { shownToPeople } from '../../src/client/jobs/shown-to-people.ts';
import { aDeadLetter } from './job/a-dead-letter.ts';

const started = Date.UTC(2026, 10, 25);

test('the details of a dead letter say what it is, what the endpoint answered and what to do', () => {
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter(), 'waiting', started, undefined));
  expect(details.split('\n')).toEqual([
    '**enter of 7076027172059065053**',
    '',
    '| | |',
    '|---|---|',
    '| State | Waits for a person. Signal "redeliver" to send it after all (last in its person\'s order, with the same id), or "discard" to drop it. |',
    '| Job | crm |',
    '| Person | 7076027172059065053 |',
    '| Audience | vip (Very important) |',
    '| Event | enter at 2020-10-14 20:27:33.916374949 UTC |',
    '| Last attempt | 2026-11-25 04:00:00 UTC: HTTP 422 "no such field" |',
    '| Attempts | 1 |',
    '| Given up | 2026-11-25 04:00:01 UTC |',
    '| Kept until | 2026-12-25 00:00:00 UTC |',
  ]);
});

test('the details of a dead letter say why it was not redelivered, next to its state', () => {
  const details = deadLetterDetails(
    describeDeadLetter(aDeadLetter(), 'waiting', started, { text: 'The person left.', isForceable: true }),
  );
  expect(details.split('\n')[5]).toBe('| Not redelivered | The person left. |');
});

test('the answer of an endpoint cannot become markup', () => {
  const failure = { at: '', status: 422, answer: '</td>|[x](http://evil)\n# no' };
  const details = deadLetterDetails(describeDeadLetter(aDeadLetter({ failure }), 'waiting', started, undefined));
  expect(details).toContain('HTTP 422 "\\</td\\>\\|\\[x\\](http://evil) # no"');
});

const prepared: PreparedJob & { ok: true } = {
  ok: true,
  definition: {
    ...FORM_DEFAULTS,
    label: 'VIP to CRM',
    audiences: ['vip'],
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    exportFields: [],
  },
  audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip', name: 'VIP' }],
  warnings: [],
  sourceLagMs: 0,
  missingSearchAttributes: [],
  requestTimeoutMs: 15_000,
  alertBacklogMs: 900_000,
  serverLimits: { payloadBytes: 1, signalsPerRun: 1, eventsPerRun: 1 },
};

test('a started job can be found by its id, its state and its audiences', () => {
  const { memo, typedSearchAttributes } = shownToPeople('vip-to-crm', prepared);
  expect(memo).toEqual({
    label: 'VIP to CRM',
    audiences: [{ id: '42976a269a5e6b9d06c681b1c27292df', slug: 'vip' }],
    sendsTo: urlDigests(prepared.definition),
  });
  expect(typedSearchAttributes?.map(({ key, value }) => [key.name, value])).toEqual([
    ['ExportJobId', 'vip-to-crm'],
    ['ExportJobStatus', 'running'],
    ['ExportAudiences', ['42976a269a5e6b9d']],
  ]);
});

test('a namespace without the search attributes does not keep a job from starting', () => {
  const lacking = { ...prepared, missingSearchAttributes: ['ExportJobId'] };
  expect(shownToPeople('vip', lacking)).not.toHaveProperty('typedSearchAttributes');
});

test('a long label fits into the summary that the server takes', () => {
  const long = { ...prepared, definition: { ...prepared.definition, label: '顧'.repeat(200) } };
  expect(Buffer.byteLength(shownToPeople('vip', long).staticSummary)).toBeLessThan(310);
});
