import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from '@jest/globals';
import { writeSampleSource } from '../demo/sample-data.ts';
import { runProgram } from '../src/features/local/run-program.ts';
import { Program } from './support/triggers-cli.ts';
import { tempFolder } from './support/temp-folder.ts';
import { afterwards } from './webhook/a-server.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = tempFolder();
const project = join(folder, 'project');
const NPM_MS = 240_000;
/** What it says that the package is made of. */
const MATERIALS: readonly string[] = ['lib/THIRD_PARTY_LICENSES.txt', 'lib/sbom.cdx.json'];
/** What was packed, by its path in the tarball. */
let packed: string[];

/** Packs what is built and installs it where nothing else is, as a user does. */
beforeAll(async () => {
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const { stdout } = await runProgram('npm', pack, { timeoutMs: NPM_MS, cwd: root });
  const [made] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]; // As npm pack --json prints.
  packed = made.files.map(({ path }) => path);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"name":"a-project","private":true,"type":"module"}');
  const install = ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await runProgram('npm', [...install, join(folder, made.filename)], { timeoutMs: NPM_MS, cwd: project });
}, 2 * NPM_MS);

function installed(...path: string[]): string {
  return join(project, 'node_modules', 'audience-triggers', ...path);
}

test('the package holds what it needs and nothing else', () => {
  const others = packed.filter((path) => !path.startsWith('lib/'));
  const tracked = execFileSync('git', ['ls-files', 'docs', 'examples'], { cwd: root, encoding: 'utf8' });
  const pages = ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json'];
  expect(others.sort()).toEqual([...pages, ...tracked.trim().split('\n')].sort());
  const [page, code] = [/^lib\/console\/(?:index\.html|assets\/[\w-]+\.(?:js|css))$/, /^lib\/[\w/-]+(\.js|\.d\.ts)$/];
  const lib = packed.filter((path) => path.startsWith('lib/') && !MATERIALS.includes(path));
  expect(lib.filter((path) => !(path.startsWith('lib/console/') ? page : code).test(path))).toEqual([]);
  expect(lib.filter((path) => path.startsWith('lib/console/'))).toHaveLength(3);
  expect(packed).toContain('lib/workflow-bundle.js');
  expect(packed).toContain('lib/encrypting-workflow-bundle.js');
  expect(packed).toEqual(expect.arrayContaining([...MATERIALS]));
  expect(packed.filter((path) => /demo|sample-(data|people)|bench|\.test\./.test(path))).toEqual([]);
});

test('a browser gets less than 150 KB of the console, packed', () => {
  const files = packed.filter((path) => path.startsWith('lib/console/'));
  const bytes = files.map((path) => gzipSync(readFileSync(installed(path))).length);
  expect(bytes.reduce((sum, one) => sum + one, 0)).toBeLessThan(150 * 1024);
});

test('no file of it shows where it was built', () => {
  const telling = packed.filter((path) => {
    const text = readFileSync(installed(path), 'utf8');
    const [, map = ''] = /sourceMappingURL=data:application\/json;charset=utf-8;base64,(\S+)/.exec(text) ?? [];
    return [text, Buffer.from(map, 'base64').toString()].some((each) => each.includes(root));
  });
  expect(telling).toEqual([]);
});

/** What of other packages is bundled into lib. */
const BUNDLED = {
  console: ['lossless-json', 'preact', 'preact-iso', 'uplot'],
  workflows: [
    '@noble/hashes',
    '@temporalio/common',
    '@temporalio/workflow',
    'long',
    'lossless-json',
    'ms',
    'nexus-rpc',
    'tinyqueue',
    'webpack',
  ],
};

interface Component {
  readonly name: string;
  readonly version: string;
  readonly licenses: readonly { readonly license?: { readonly id?: string }; readonly expression?: string }[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

test('the bill of materials names every package that comes along or is bundled, with licences, and is reproducible', () => {
  const text = readFileSync(installed('lib', 'sbom.cdx.json'), 'utf8');
  // As scripts/bill-of-materials.mjs writes it.
  const sbom = JSON.parse(text) as Record<string, unknown> & { components: readonly Component[] };
  expect(Object.keys(sbom).sort()).toEqual(
    ['$schema', 'bomFormat', 'components', 'dependencies', 'metadata', 'specVersion', 'version'].sort(),
  );
  expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'audience-triggers' } } });
  expect(Object.keys(sbom['metadata'] ?? {})).toEqual(['component']);
  expect(text.match(/\w+:\/\/[^"]*/g)).toEqual([expect.stringMatching(/^http:\/\/cyclonedx\.org\/schema\//)]);
  // As npm writes it.
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; dev?: true }>;
  };
  const along = Object.entries(lock.packages).filter(
    ([path, { dev }]) => path !== '' && (dev !== true || /^node_modules\/(preact|preact-iso|uplot)$/.test(path)),
  );
  const wanted = along.map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version}`);
  const named = sbom.components.map(({ name, version }) => `${name}@${version}`);
  expect(named.sort()).toEqual([...new Set(wanted)].sort());
  const licences = sbom.components.map(
    ({ name, version, licenses: [one] }) => `${name}@${version}: ${one?.expression ?? one?.license?.id ?? 'none'}`,
  );
  expect(licences.filter((one) => one.endsWith(': none'))).toEqual([]);
  const list = readFileSync(installed('lib', 'THIRD_PARTY_LICENSES.txt'), 'utf8');
  expect(list.split('\n')).toEqual(expect.arrayContaining(licences));
});

test('the licence of everything that is bundled comes along as its package has it', () => {
  const list = readFileSync(installed('lib', 'THIRD_PARTY_LICENSES.txt'), 'utf8');
  // As above.
  const { components } = JSON.parse(readFileSync(installed('lib', 'sbom.cdx.json'), 'utf8')) as {
    components: readonly Component[];
  };
  for (const [part, names] of Object.entries(BUNDLED)) {
    const said = components.filter(({ properties = [] }) => properties.some(({ value }) => value === part));
    expect(said.map(({ name }) => name).sort()).toEqual(names);
    for (const name of names) {
      const folder = join(root, 'node_modules', name);
      const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one)) ?? '';
      expect(list).toContain(readFileSync(join(folder, file), 'utf8').trim());
    }
  }
});

test('npx triggers --help works', async () => {
  const { stdout } = await runProgram('npx', ['--no-install', 'triggers', '--help'], {
    timeoutMs: NPM_MS,
    cwd: project,
  });
  expect(stdout).toMatch(/^Usage: triggers /);
});

test('triggers up comes up with workflow code that was bundled before, and ends with Ctrl-C', async () => {
  const source = join(folder, 'audiences');
  await writeSampleSource(source, { people: 10 });
  const args = ['up', '--port', '0', '--ui-port', '0', '--http-port', '0', '--api-port', '0', '--json'];
  const env = { TEMPORAL_ADDRESS: undefined, TRIGGERS_SOURCE: source };
  const up = new Program(process.execPath, [installed('lib', 'app', 'main.js'), ...args], { env, cwd: project });
  afterwards(() => up.kill());
  await up.says(({ stdout }) => stdout.endsWith('\n'));
  expect(JSON.parse(up.stdout)).toMatchObject({ namespace: 'default', source });
  up.signal('SIGINT');
  expect((await up.end()).code).toBe(0);
  // Its worker needed no webpack.
  expect(up.stderr).not.toMatch(/webpack|bundle/i);
});

test('the client is imported with its types, by plain Node and by a strict compiler', async () => {
  writeFileSync(
    join(project, 'consumer.ts'),
    `import { ExportJobs, InvalidJob, type JobStatus, payloadConverterPath } from 'audience-triggers/client';
const start: (jobs: ExportJobs) => Promise<string> = async (jobs) =>
  (await jobs.start({ label: 'VIP', audiences: ['vip'], webhookUrl: 'https://example.com', authorization: null })).jobId;
const waiting = (status: JobStatus): number => status.waiting;
console.log(typeof ExportJobs.connect, start.length, waiting.length, InvalidJob.name, payloadConverterPath.length > 0);
// @ts-expect-error A label is a text.
const wrong: Parameters<ExportJobs['start']>[0] = { label: 7, audiences: [], webhookUrl: '', authorization: null };
console.log(wrong.label);
`,
  );
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  const types = ['--typeRoots', join(root, 'node_modules', '@types'), '--types', 'node'];
  const strict = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--skipLibCheck'];
  await runProgram(process.execPath, [tsc, ...strict, ...types, 'consumer.ts'], { timeoutMs: NPM_MS, cwd: project });
  const { stdout } = await runProgram(process.execPath, ['consumer.js'], { timeoutMs: NPM_MS, cwd: project });
  expect(stdout).toBe('function 1 1 InvalidJob true\n7\n');
});

test('nothing but the client can be imported', async () => {
  for (const inner of ['audience-triggers', 'audience-triggers/worker', 'audience-triggers/lib/config/config.js']) {
    const script = `await import('${inner}').catch(({ code }) => console.log(code))`;
    const args = ['--input-type=module', '--eval', script];
    const { stdout } = await runProgram(process.execPath, args, { timeoutMs: NPM_MS, cwd: project });
    expect(stdout).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  }
});
