import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { authorizationSchema } from '../../src/config/authorization-config.ts';
import { CONFIG_SETTINGS, configSchema } from '../../src/config/config.ts';
import { kafkaSchema, outboxSchema } from '../../src/config/consumer-config.ts';
import { VARIABLES } from '../../src/config/environment.ts';
import { keysAt } from '../../src/config/problems.ts';
import { tracingSchema } from '../../src/config/service-config.ts';
import { fileSource, httpSource, lyticsSource, postgresSource } from '../../src/config/source-config.ts';
import { namesUnder } from '../docs/pages.ts';

const page = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

/** Every key that may stand at this place or below, with what leads to it: `members.url`. */
function settingsIn(schema: Parameters<typeof keysAt>[0], path: readonly string[] = []): string[] {
  return keysAt(schema, path).flatMap((key) => {
    const here = [...path, key];
    return [here.join('.'), ...settingsIn(schema, here)];
  });
}

const CONFIGURATION = page('docs/configuration.md');

test('the table of docs/configuration.md has every setting, and no other', () => {
  expect(namesUnder(CONFIGURATION, /\| setting +\| what it is.*\|/).toSorted()).toEqual(CONFIG_SETTINGS.toSorted());
  const ofNetwork = settingsIn(configSchema, ['network']).map((setting) => setting.replace('network.', ''));
  expect(namesUnder(CONFIGURATION, /\| part of `network` +\|.*\|/).toSorted()).toEqual(ofNetwork.toSorted());
});

test.each<[string, Parameters<typeof keysAt>[0], string, string]>([
  ['authorizations', authorizationSchema, 'docs/authorizations.md', 'origins'],
  ['the source postgres', postgresSource, 'docs/sources/postgres.md', 'kind'],
  ['the source lytics', lyticsSource, 'docs/sources/lytics.md', 'kind'],
  ['the source http', httpSource, 'docs/sources/http.md', 'kind'],
  ['the source file', fileSource, 'docs/sources/file.md', 'kind'],
  ['the outbox', outboxSchema, 'docs/consumers.md', 'url'],
  ['Kafka', kafkaSchema, 'docs/consumers.md#Topics of Apache Kafka', 'brokers'],
  ['traces', tracingSchema, 'docs/tracing.md', ''],
])('every setting of %s is on its page, and every setting that the page lists is accepted', (_, schema, name) => {
  const [file = '', heading] = name.split('#');
  const text = heading === undefined ? page(file) : page(file).slice(page(file).indexOf(`\n## ${heading}\n`));
  const settings = settingsIn(schema);
  expect(settings.length).toBeGreaterThan(2);
  const missing = settings.filter((setting) => !new RegExp(`\\b${setting.split('.').at(-1)}\\b`).test(text));
  expect(missing).toEqual([]);
  const listed = namesUnder(text, /\| (?:setting|it carries|part) +\|.*\|/);
  expect(listed.filter((setting) => !settings.includes(setting))).toEqual([]);
});

test('every setting below these is named there or on a page', () => {
  const pages = [
    'alerts',
    'metrics',
    'operating',
    'watch',
    'encryption',
    'tracing',
    'authorizations',
    'setup',
    'consumers',
  ];
  const all = [CONFIGURATION, ...pages.map((name) => page(`docs/${name}.md`))].join('\n');
  const own = CONFIG_SETTINGS.filter((setting) => setting !== 'source').flatMap((setting) => [
    setting,
    ...settingsIn(configSchema, [setting]),
  ]);
  const missing = own.filter((setting) => !new RegExp(`\\b${setting.split('.').at(-1)}\\b`).test(all));
  expect(missing).toEqual([]);
});

test('every variable that is read is documented, and every one that is documented is known', () => {
  const pages = [
    'docs/configuration.md',
    '.env.example',
    'docker-compose.yml',
    'docs/encryption.md',
    'docs/tracing.md',
    'docs/operating.md',
  ];
  const named = pages.flatMap((name) => page(name).match(/\bTRIGGERS_[A-Z][A-Z_]*[A-Z]\b/g) ?? []);
  expect([...new Set(named)].toSorted()).toEqual([...VARIABLES].toSorted());
});
