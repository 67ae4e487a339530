import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { authorizationSchema } from '../../src/config/authorization-config.ts';
import { CONFIG_SETTINGS, loadConfig } from '../../src/config/config.ts';
import { checkJobDefinition, JOB_FIELDS } from '../../src/contract/export-job.ts';
import { isRecord } from '../../src/domain/json.ts';
import { legacyPayload, newPayload, type PayloadParts } from '../../src/domain/message.ts';
import { readTrigger } from '../../src/domain/trigger.ts';
import { type Block, blocksOf, PAGES } from './pages.ts';

/** What else pages show as JSON, by what it begins with. One that no page shows any more does not belong here. */
const OTHERS: readonly (readonly [page: string, begins: string, reason: string])[] = [
  ['docs/alerts.md', '{"type":"alert"', 'what an alert webhook gets'],
  ['docs/sources/file.md', '{"user":"7076027172059065053","profile"', 'a line of profiles.ndjson'],
];

/** Something in the place of what a configuration takes from variables and files, of the form that it must have there. */
function filledIn(text: string): string {
  return text.replaceAll(/\$\{(?:env|file):([^}]+)\}/g, (_, name: string) => {
    if (/payload.?key/i.test(name)) return Buffer.alloc(32, 7).toString('base64');
    if (/database/i.test(name)) return 'postgres://a@b.example.com/c';
    return /signing|(?:new|old)-secret/i.test(name)
      ? `whsec_${Buffer.alloc(24, 7).toString('base64')}`
      : 'x'.repeat(24);
  });
}

type Shown = Record<string, unknown>;

function complaintsOfConfig(config: Shown): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'docs-json-'));
  const path = join(folder, 'triggers.config.json');
  try {
    writeFileSync(path, JSON.stringify(config));
    loadConfig({ path, env: {} });
    return [];
  } catch (error) {
    return [String(error)];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function complaintsOfJob(job: Shown): string[] {
  const checked = checkJobDefinition(job);
  return checked.ok ? [] : checked.problems.map(({ field, message }) => `${field}: ${message}`);
}

/** A part of an authorization says not where it may go. */
function complaintsOfAuthorization(part: Shown): string[] {
  const { error } = authorizationSchema.safeParse({ origins: ['https://example.com'], ...part });
  return error?.issues.map(({ message }) => message) ?? [];
}

function complaintsOfTrigger(trigger: Shown): string[] {
  const reading = readTrigger(trigger, undefined, 64 * 1024);
  return reading.ok ? [] : [reading.reason];
}

/** A message that a page shows is the one that would be made of what it tells. */
function complaintsOfMessage(message: Shown): string[] {
  const shown = JSON.stringify(message);
  const made = 'meta' in message ? newPayload(partsOf(message)) : legacyPayload(partsOf(message));
  return shown === made ? [] : [`This would be made: ${made}`];
}

/** What a message is of. It shows everything, in one place or another, but the name of the audience in the new format. */
function partsOf(message: Shown): PayloadParts {
  const { id, data, meta, subscriptionid, collected } = message;
  const {
    segment_events: inside,
    _audience,
    _audience_action,
    _audience_friendly,
    _audience_name,
    ...profile
  } = recordOf(data);
  const [event] = [message['segment_events'], inside].flatMap((list) =>
    Array.isArray(list) ? list.map(recordOf) : [],
  );
  if (event === undefined) throw new Error('The message has no segment_events.');
  const kind = event['event'] === 'enter' ? 'enter' : 'exit';
  return {
    user: String(id),
    event: kind,
    at: String(event[kind]),
    audience: { id: String(event['id']), slug: String(event['slug']), name: String(_audience_name) },
    profile: profile as PayloadParts['profile'], // Of a JSON text.
    subscriptionId: String(subscriptionid ?? recordOf(meta)['subscription_id']),
    exportFields: [],
    attemptAt: String(collected ?? recordOf(meta)['timestamp']),
  };
}

function recordOf(value: unknown): Shown {
  return isRecord(value) ? value : {};
}

/** What is wrong with a block; undefined when nobody knows what it is. */
function complaintsOf({ page, text }: Block): string[] | undefined {
  const shown: unknown = JSON.parse(filledIn(text));
  if (!isRecord(shown)) return undefined;
  const has = (...names: string[]): boolean => names.every((name) => name in shown);
  if (OTHERS.some(([where, begins]) => where === page && JSON.stringify(shown).startsWith(begins))) return [];
  if (has('id', 'data')) return complaintsOfMessage(shown);
  if (has('event', 'user')) return complaintsOfTrigger(shown);
  // An authorization has headers, too.
  if (JOB_FIELDS.some((field) => field !== 'headers' && has(field))) return complaintsOfJob(shown);
  if (CONFIG_SETTINGS.some((setting) => has(setting))) return complaintsOfConfig(shown);
  if (Object.keys(authorizationSchema.shape).some((part) => has(part))) return complaintsOfAuthorization(shown);
  return undefined;
}

const shown = PAGES.flatMap(blocksOf).filter(({ language }) => language === 'json');

test.each(shown.map((block) => [block.page, firstLines(block), block] as const))(
  'in %s, the JSON %s is as the program takes or makes it',
  (_page, _text, block) => {
    expect(complaintsOf(block)).toEqual([]);
  },
);

function firstLines({ text }: Block): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, 60);
}

test('every page of a source shows its configuration', () => {
  const sources = PAGES.filter((page) => page.startsWith('docs/sources/'));
  const without = sources.filter(
    (page) => !shown.some((block) => block.page === page && block.text.includes('"source":')),
  );
  expect(sources.length).toBeGreaterThan(3);
  expect(without).toEqual([]);
});

test.each(OTHERS)('%s still shows the JSON that begins with %s', (page, begins) => {
  const texts = shown
    .filter((block) => block.page === page)
    .map(({ text }) => JSON.stringify(JSON.parse(filledIn(text))));
  expect(texts.filter((text) => text.startsWith(begins))).not.toEqual([]);
});
