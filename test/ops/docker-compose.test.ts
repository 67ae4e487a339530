import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { parse } from 'yaml';
import { SERVER_VERSION } from '../../chaos/temporal-build.ts';
import { MADE_FROM } from '../../scripts/source-stamp.mjs';
import { checkVariables } from '../../src/config/problems.ts';
import { SEARCH_ATTRIBUTES } from '../../src/domain/names.ts';
import { temporal } from '../support/temporal.ts';
import { triggers } from '../support/triggers-cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes?: readonly string[];
  readonly profiles?: readonly string[];
  readonly ports?: readonly string[];
  readonly [key: string]: unknown;
}

const composeText = read('docker-compose.yml');
// Held against the schema by the first test; the others are only as good as that one.
const compose = parse(composeText) as { readonly services: Readonly<Record<string, Service>> };

/** `${NAME:-default}` everywhere in a text: the names with their defaults, if they have one. */
function variables(text: string): { name: string; fallback: string | undefined }[] {
  const found = text.matchAll(/\$\{(\w+)(?::-([^}]*))?\}/g);
  return Array.from(found, ([, name = '', fallback]) => ({ name, fallback }));
}

/** The settings of .env.example. */
function exampleSettings(): Map<string, string> {
  const lines = read('.env.example').split('\n');
  const settings = lines.filter((line) => /^\w+=/.test(line));
  return new Map(settings.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

test('the file is valid by the Compose specification', () => {
  // The schema is the specification's own, as the PyPI package docker-compose 1.29.2 (Apache-2.0) carries it. It names its parts by
  // the `id` of an older draft, which is of no use to anybody here.
  const schema: unknown = JSON.parse(read('test/fixtures/compose-spec.json'), function (key, value: unknown) {
    return (key === 'id' && typeof value === 'string') || key === '$schema' ? undefined : value;
  });
  if (typeof schema !== 'object' || schema === null) throw new Error('the schema is no object');
  const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false });
  const validate = ajv.compile(schema);
  // As Compose holds it against the schema: with its variables filled in.
  validate(parse(composeText.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')));
  expect(validate.errors ?? []).toEqual([]);
  // And the schema does see mistakes.
  expect(validate({ services: { worker: { depend_on: [] } } })).toBe(false);
});

test('every variable has a default in the file, and .env.example says the same', () => {
  const settings = exampleSettings();
  const used = variables(composeText);
  expect(used.length).toBeGreaterThan(0);
  for (const { name, fallback } of used) expect([name, fallback]).toEqual([name, settings.get(name)]);
  const names = new Set(used.map(({ name }) => name));
  expect([...settings.keys()].filter((name) => !names.has(name))).toEqual([]);
});

test('a configuration that the .env of 0.1.0 names is refused, not replaced by the sample', () => {
  // Without a value, Compose hands on what is set, and nothing else.
  for (const service of ['worker', 'api'])
    expect(compose.services[service]?.['environment']).toHaveProperty('TRIGGERS_CONFIG_FILE', null);
  expect(() => checkVariables({ TRIGGERS_CONFIG_FILE: './mine.json' })).toThrow('Did you mean TRIGGERS_CONFIG_FOLDER?');
});

test('the start order is: database, schema, server, namespace, then the UI and workers', () => {
  const waits = Object.entries(compose.services).map(([name, { depends_on = {} }]) => [
    name,
    Object.entries(depends_on).map(([on, { condition }]) => `${on} ${condition}`),
  ]);
  expect(Object.fromEntries(waits)).toEqual({
    postgresql: [],
    schema: ['postgresql service_healthy'],
    temporal: ['schema service_completed_successfully'],
    namespace: ['temporal service_healthy'],
    'temporal-ui': ['namespace service_completed_successfully'],
    worker: ['namespace service_completed_successfully'],
    api: ['namespace service_completed_successfully', 'worker service_started'],
    prometheus: [],
    grafana: ['prometheus service_started'],
  });
});

test('a service that others wait for to be healthy has a health check', () => {
  for (const { depends_on = {} } of Object.values(compose.services)) {
    for (const [on, { condition }] of Object.entries(depends_on)) {
      if (condition === 'service_healthy') expect(compose.services[on]).toHaveProperty('healthcheck.test');
    }
  }
});

test('every container keeps no more rights than it needs, and ours write to nothing but what is mounted', () => {
  for (const [name, service] of Object.entries(compose.services)) {
    expect([name, service['security_opt']]).toEqual([name, ['no-new-privileges:true']]);
    // PostgreSQL's image changes the owner of its folder, and then its own user.
    if (name !== 'postgresql') expect([name, service['cap_drop']]).toEqual([name, ['ALL']]);
  }
  for (const name of ['worker', 'api']) expect(compose.services[name]).toMatchObject({ read_only: true });
});

test('the compose file publishes no HTTP API of Temporal and no web UI until somebody asks for it', () => {
  const published = Object.values(compose.services)
    .filter(({ profiles }) => profiles === undefined)
    .flatMap(({ ports = [] }) => ports);
  expect(published).toEqual(['${PUBLISH_IP:-127.0.0.1}:${TEMPORAL_PORT:-7233}:7233']);
});

test('the worker can be scaled: no name and no port of its own', () => {
  expect(compose.services).toHaveProperty('worker.build.target', 'worker');
  expect(Object.keys(compose.services['worker'] ?? {})).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/^(container_name|ports|hostname)$/)]),
  );
});

test('the compose file starts the API only on request, with the image of the worker and a required key', async () => {
  const { api, worker } = compose.services;
  const command = ['api', '--host', '0.0.0.0', '--temporal-ui', 'http://localhost:${TEMPORAL_UI_PORT:-8080}'];
  expect(api).toMatchObject({ profiles: ['api'], image: worker?.['image'], command });
  expect(api?.['ports']).toEqual(['${PUBLISH_IP:-127.0.0.1}:${API_PORT:-7280}:7280']);
  // What it is told is what the command takes, and what it does without a key: nothing.
  const said = command.map((word) => word.replace('${TEMPORAL_UI_PORT:-8080}', '8080'));
  const { code, stderr } = await triggers([...said, '--port', '0', '--json'], { fails: true });
  expect({ code, error: JSON.parse(stderr) as unknown }).toMatchObject({
    code: 1,
    error: { error: { name: 'ApiKeysNeeded' } },
  });
});

test('every file that is mounted or run exists', () => {
  const mounted = Object.values(compose.services).flatMap(({ volumes = [] }) => volumes);
  const ours = mounted.map((volume) => /^\.\/[^:]+/.exec(volume)?.[0]).filter((path) => path !== undefined);
  expect(ours.length).toBeGreaterThan(0);
  for (const path of ours) expect([path, existsSync(join(root, path))]).toEqual([path, true]);
  const inOps = Array.from(composeText.matchAll(/[ '"]\/ops\/([\w.-]+)/g), ([, name = '']) => name);
  expect(readdirSync(join(root, 'ops/temporal'))).toEqual(expect.arrayContaining(inOps));
});

test('the image is built in stages, on a Debian with glibc, and runs as an ordinary user', () => {
  const lines = read('Dockerfile').split('\n');
  const stages = lines.filter((line) => line.startsWith('FROM '));
  expect(stages).toEqual([
    'FROM node:24-bookworm-slim AS base',
    'FROM base AS build',
    'FROM base AS dependencies',
    'FROM debian:bookworm-slim AS worker',
  ]);
  const last = lines.slice(lines.lastIndexOf(stages.at(-1) ?? ''));
  expect(last).toContain('USER node');
  expect(last.join('\n')).not.toMatch(/npm (ci|install|run)/);
  // The workflow code is bundled by the build script.
  expect(lines).toContain('RUN npm run build');
  expect(read('scripts/build.mjs')).toContain('bundleWorkflowCode');
});

test('the stand-ins have the names of the images that the compose file and the Dockerfile ask for', () => {
  const standIns = parse(read('ops/containers/stand-ins/compose.yml')) as typeof compose;
  const made = ['debian:bookworm-slim', ...Object.values(standIns.services).map(({ image }) => image)];
  const built = [...read('Dockerfile').matchAll(/^FROM (\S+:\S+)/gm)].map(([, image]) => image);
  const started = Object.values(compose.services).filter(
    ({ profiles }) => profiles?.includes('observability') !== true,
  );
  const asked = [...built, ...started.map(({ image }) => image)].filter((image) => image !== 'audience-triggers');
  expect(new Set(made)).toEqual(new Set(asked));
});

test('the image copies all that lib is made from', () => {
  const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, all = '']) =>
    all.split(' '),
  );
  const missing = MADE_FROM.filter((path) => !copied.some((one) => path === one || path.startsWith(`${one}/`)));
  expect(missing).toEqual([]);
});

test('no install script runs while the image is built', () => {
  const installs = [...read('Dockerfile').matchAll(/npm (?:ci|install).*/g)].map(([all]) => all);
  expect(installs).toHaveLength(2);
  expect(installs.filter((one) => !one.includes(' --ignore-scripts '))).toEqual([]);
});

test('.dockerignore includes every file that the image copies, and each of them exists', () => {
  const ignored = read('.dockerignore').split('\n');
  const copies = read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm);
  for (const [, sources = ''] of copies) {
    for (const source of sources.split(' ')) {
      expect(ignored).toContain(`!${source}`);
      expect(existsSync(join(root, source))).toBe(true);
    }
  }
});

test('the chaos suite proves its promises on the same version of the server', () => {
  expect(compose.services['temporal']?.['image']).toBe(`temporalio/server:${SERVER_VERSION}`);
});

test('the scripts are sound shell', () => {
  const scriptsIn = (folder: string) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.sh'));
  const scripts = scriptsIn('ops/temporal');
  expect(scripts).toEqual(['namespace.sh', 'schema.sh', 'search-attributes.sh']);
  const all = ['temporal', 'containers'].flatMap((room) =>
    scriptsIn(`ops/${room}`).map((name) => `ops/${room}/${name}`),
  );
  for (const name of [...all, '.ci/run']) execFileSync('bash', ['-n', join(root, name)]);
});

test('the namespace and search-attribute scripts set up a server, and change nothing the second time', async () => {
  const env = {
    PATH: process.env['PATH'],
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: 'by-scripts',
    TEMPORAL_CLI: temporal.cliPath,
  };
  const run = async (name: string) =>
    (await promisify(execFile)('sh', [join(root, 'ops/temporal', name)], { env })).stdout;

  await run('namespace.sh');
  await run('search-attributes.sh');
  const answer = await fetch(`${temporal.httpUrl}/api/v1/namespaces/by-scripts/search-attributes`);
  const { customAttributes } = (await answer.json()) as { customAttributes: Record<string, string> };
  const wanted = Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, `INDEXED_VALUE_TYPE_${type}`]);
  expect(customAttributes).toEqual(Object.fromEntries(wanted));

  expect(await run('namespace.sh')).toBe('Namespace by-scripts is there.\n');
  expect(await run('search-attributes.sh')).toBe(
    Object.keys(SEARCH_ATTRIBUTES)
      .map((name) => `Search attribute ${name} is there.\n`)
      .join(''),
  );
});

test('the schema script makes both databases and brings each to its own schema', () => {
  const folder = tempFolder();
  // `echo` stands in for the tool: what it would be called with is what counts.
  symlinkSync('/bin/echo', join(folder, 'temporal-sql-tool'));
  const env = {
    PATH: `${folder}:${process.env['PATH'] ?? ''}`,
    POSTGRES_SEEDS: 'db',
    POSTGRES_USER: 'me',
    SQL_PASSWORD: 'secret',
  };
  const lines = execFileSync('sh', [join(root, 'ops/temporal/schema.sh')], { env, encoding: 'utf8' }).split('\n');
  const tool = (database: string) => `--plugin postgres12 --ep db --port 5432 --user me --database ${database}`;
  const schemas = '/etc/temporal/schema/postgresql/v12';
  expect(lines).toEqual([
    `${tool('temporal')} create`,
    `${tool('temporal')} setup-schema --version 0.0`,
    `${tool('temporal')} update-schema --schema-dir ${schemas}/temporal/versioned`,
    'Database temporal is up to date.',
    `${tool('temporal_visibility')} create`,
    `${tool('temporal_visibility')} setup-schema --version 0.0`,
    `${tool('temporal_visibility')} update-schema --schema-dir ${schemas}/visibility/versioned`,
    'Database temporal_visibility is up to date.',
    '',
  ]);
  expect(lines.join()).not.toContain('secret');
});
