import { NoSample } from '../../src/features/preview/no-sample.ts';
import { gzipSync } from 'node:zlib';
import { PassThrough } from 'node:stream';
import { afterAll, expect, test } from '@jest/globals';
import { jsonBody } from '../../src/api/bodies.ts';
import { refusalOf } from '../../src/api/refusal.ts';
import { InvalidRequest, JobNotFound } from '../../src/client/calls/errors.ts';
import { unknownKeys } from '../../src/contract/nearest-key.ts';
import { presetNamed } from '../../src/features/ingests/presets.ts';
import { printableReason } from '../../src/domain/text.ts';
import { shownFault } from '../../src/webhook/attempt.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

/** The busiest machine needs no longer for what is linear; what is not takes minutes. */
const SOON_MS = 1_000;
const soon = (act: () => unknown): void => {
  const began = performance.now();
  act();
  expect(performance.now() - began).toBeLessThan(SOON_MS);
};

/** Beginnings of what is looked for in texts of failures, without their ends. */
const HOSTILE = [
  'triggers dead-letters redeliver … --force (',
  'triggers stop a --waiting ',
  'triggers edit a.',
  'triggers dead-letters show ',
  'POST /v1/jobs/a.',
  ' \t',
  '\n    at a:1',
].map((text) => text.repeat(100_000));

test.each(HOSTILE)('[S44] the API quickly shortens an error that repeats megabytes of what a caller sent', (text) => {
  const problems = [{ field: text, message: text }];
  for (const error of [
    new JobNotFound(text),
    new NoSample({ field: 'user', message: text }),
    new InvalidRequest(problems),
  ])
    soon(() => expect(JSON.stringify(refusalOf(error)).length).toBeLessThan(20_000));
  soon(() => printableReason(text));
  soon(() => shownFault(Object.assign(new TypeError(), { stack: `TypeError: ${text}` })));
});

test('[S44] the API looks at only the first hundred of a hundred thousand unknown fields', () => {
  const fields = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`jobIds${i}`, 1]));
  soon(() => expect(unknownKeys(fields, ['jobId', 'definition', 'audience'])).toHaveLength(100));
});

test.each([
  ['opening brackets', '['.repeat(4_000_000), 'InvalidRequest'],
  ['nested objects', '{"a":'.repeat(800_000), 'InvalidRequest'],
  ['empty objects', `[${'{},'.repeat(1_400_000)}{}]`, 'InvalidRequest'],
  ['many short values', `[${'1,'.repeat(250_000)}1]`, 'InvalidRequest'],
  ['long numbers without an end', `[1${',1234567890123456'.repeat(240_000)},`, 'NotJson'],
  ['a text without an end', `"${'a'.repeat(4_000_000)}`, 'NotJson'],
])('[S44] a body of %s is refused before it costs anything', (_, text, code) => {
  soon(() => {
    expect(() => jsonBody(text)).toThrow(expect.objectContaining({ refusal: expect.objectContaining({ code }) }));
  });
});

test('a body of as many values as are allowed is read, whatever its strings contain', () => {
  const text = JSON.stringify(Array.from({ length: 250_000 }, () => ',{['));
  expect(jsonBody(text).value).toHaveLength(250_000);
});

test('a body of as many levels as a profile may have is read', () => {
  const profile = `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`;
  expect(jsonBody(`[{"user":"[[[","profile":${profile}}]`).value).toHaveLength(1);
});

const api = await apiWithoutTemporal();
afterAll(() => api.close());

test.each(['user', 'audience', 'jobId'])(
  '[S44] a %s that is too long is refused before anybody is asked',
  async (field) => {
    const long = 'triggers dead-letters redeliver … --force ('.repeat(20_000);
    const packed = gzipSync(JSON.stringify({ jobId: 'crm', [field]: long }));
    const headers = { 'content-encoding': 'gzip' };
    const answer = await askOf(api, '/v1/render', { body: PassThrough.from([packed]), headers });
    expect(answer).toMatchObject({ status: 422, body: { code: 'InvalidRequest', problems: [{ field }] } });
    expect(await askOf(api, `/v1/trace?${field}=${'x'.repeat(256)}`)).toMatchObject({ status: 422 });
  },
);

/** Triggers with 23 keys of their own each, no two alike, each of the length of `profile`. */
const foreignTriggers = Array.from({ length: 50 }, (_, item) => ({
  user: 'u',
  event: 'enter',
  audience: 'vip',
  ...Object.fromEntries(Array.from({ length: 23 }, (_, key) => [`x${item * 100 + key + 10_000}x`, 1])),
}));
/** The first of them with more than a thousand such keys before its end. */
const FIRST_REFUSED = 43;

test('[S44] keys of triggers are compared up to a thousand for the whole request; the others are refused', async () => {
  const answer = await askOf(api, '/v1/triggers?strict=1', { body: foreignTriggers });
  expect(answer).toMatchObject({
    status: 422,
    body: { refusedCount: 7, refused: [{ index: FIRST_REFUSED }, {}, {}, {}, {}, {}, {}] },
  });
});

test('[S44] so are those of an ingest with the preset standard', () => {
  const { changes } = presetNamed('standard').read(
    { headers: {}, query: {}, body: foreignTriggers },
    { audiences: {} },
  );
  expect(changes.findIndex((change) => 'reason' in change)).toBe(FIRST_REFUSED);
});

test.each([
  ['POST', '/v1/jobs?validateOnly=1'],
  ['PATCH', '/v1/jobs/crm?validateOnly=1'],
  ['POST', '/v1/render'],
])('[S44] a form of more than 10,000 values is refused before it is parsed: %s %s', async (method, path) => {
  const text = `{${'"":1,'.repeat(10_000)}`;
  expect(await askOf(api, path, { method, body: text })).toMatchObject({
    status: 422,
    body: { code: 'InvalidRequest' },
  });
  expect(await askOf(api, path, { method, body: text.slice(10) })).toMatchObject({ body: { code: 'NotJson' } });
});
