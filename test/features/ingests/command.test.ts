import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { run } from '../../../src/app/program.ts';
import { aTerminal } from '../../cli/a-terminal.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const folder = tempFolder();
const before = process.env['TRIGGERS_CONFIG'];
beforeAll(() => {
  const path = join(folder, 'triggers.config.json');
  const ingests = {
    segment: { preset: 'segment', audiences: { vip: 'our-vip' }, signature: { secret: 's3cret-of-the-sender-of-it' } },
    any: {
      audience: 'a',
      expressions: { each: 'people', user: 'who', event: 'in', profile: 'fields' },
      profiles: 'from-source',
    },
  };
  writeFileSync(path, JSON.stringify({ ingests }));
  process.env['TRIGGERS_CONFIG'] = path;
});
afterAll(() => {
  if (before === undefined) delete process.env['TRIGGERS_CONFIG'];
  else process.env['TRIGGERS_CONFIG'] = before;
});

const example = (name: string): string =>
  readFileSync(new URL(`../../../examples/ingests/${name}.json`, import.meta.url), 'utf8');

async function tried(args: readonly string[], input: string) {
  const { terminal, out, err } = aTerminal({ input });
  const code = await run(['ingest', 'try', ...args], terminal);
  return { code, out: out.join('\n'), err: err.join('\n') };
}

test('shows the triggers that would come out, by our names of audiences', async () => {
  const { code, out } = await tried(['segment'], example('segment'));
  expect(code).toBe(0);
  expect(out).toBe('enter  7076027172059065053  our-vip  2026-11-27 08:30:00.123 UTC  email');
  const batch = await tried(['segment', '--json'], example('segment-batch'));
  expect(JSON.parse(batch.out)).toEqual({
    ingest: 'segment',
    triggers: [
      {
        event: 'exit',
        user: '3318840061257794210',
        audience: 'our-vip',
        at: '2026-11-27T08:30:01.004Z',
        profile: { email: 'kim@example.com' },
      },
    ],
    refused: [],
    ignored: 1,
    messageId: expect.any(String),
  });
});

test('evaluates expressions, and leaves profiles to the source where that is configured', async () => {
  const { code, out } = await tried(['any', '--json'], example('any'));
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    triggers: [
      { event: 'enter', user: '7076027172059065053', audience: 'a' },
      { event: 'exit', user: '3318840061257794210', audience: 'a' },
    ],
  });
  expect(out).not.toContain('profile');
});

test('the command names what would be refused with its reason, and exits with 1', async () => {
  const { code, out, err } = await tried(['segment'], '[7]');
  expect([code, out]).toEqual([1, expect.stringContaining('refused, number 1: it is no call')]);
  expect(err).toContain('1 change of this body would be refused');
});

test.each([
  [
    'an event',
    { type: 'track', event: 'Audience Enterd', userId: 'u' },
    'It says "Audience Enterd": did you mean "Audience Entered"?',
  ],
  ['a type', { type: 'trak', event: 'Audience Entered', userId: 'u' }, 'It says "trak": did you mean "track"?'],
  ['nothing near', { type: 'page' }, 'this preset reads changes from Track calls "Audience Entered"'],
])('the command reports an ignored body, and what it would take instead: %s', async (_, body, words) => {
  const { code, out, err } = await tried(['segment'], JSON.stringify(body));
  expect([code, out]).toEqual([0, 'ignored: 1 (no membership change)']);
  expect(err.replaceAll(/\s+/g, ' ')).toContain(words);
});

test('says whether a sender with these headers would be believed', async () => {
  const body = example('segment');
  const signature = createHmac('sha1', 's3cret-of-the-sender-of-it').update(body).digest('hex');
  const right = await tried(['segment', '--header', `X-Signature: ${signature}`], body);
  expect([right.code, right.out]).toEqual([0, expect.stringContaining('proves its sender')]);
  const wrong = await tried(['segment', '--header', 'X-Signature: 00'], body);
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('answer 401')]);
});

test.each([
  [['sgment'], '{}', /no ingest "sgment"\. Did you\s+mean "segment"/],
  [['segment', '--query', 'event=enter&event=exit'], '{}', /has the parameter "event" twice/],
  [['segment', '--header', 'nothing'], '{}', /written as its name, a colon/],
  [['segment'], '{"a":', /not JSON: something is wrong in line 1/],
])('%j with %s is refused', async (args, input, message) => {
  const { code, err } = await tried(args, input);
  expect([code, err]).toEqual([2, expect.stringMatching(message)]);
});
