import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import * as errors from '../../src/client/errors.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { temporal } from '../support/temporal.ts';
import { Operator, Program } from '../support/triggers-cli.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The commands of its fenced shell blocks that are ours or signal a job, in their order. */
function commands(): string[] {
  const blocks = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block.replaceAll('\\\n', ' '));
  return (
    blocks
      .flatMap((block) => block.split('\n'))
      .map((line) => line.replace(/\s+# .*$/, ''))
      .filter((line) => /^(?:\w+=\S+ )?(?:npx triggers|temporal|curl) /.test(line))
      // What stands for an id that a reader has to fill in.
      .filter((line) => !line.includes('<id>'))
  );
}

test('the commands of the README do what it says, one after the other, as they stand there', async () => {
  const taskQueue = `readme-${randomUUID()}`;
  const operator = new Operator(taskQueue);
  const folder = mkdtempSync(join(tmpdir(), 'readme-'));
  const bin = toolsIn(folder);
  const programs: Program[] = [];
  let hook = '';
  const start = (command: string): Program => {
    const line = command
      .replace('--port 9000', '--port 0')
      .replace('http://127.0.0.1:7243', temporal.httpUrl)
      .replace('examples/job.json', join(folder, 'job.json'));
    const env = { PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, TRIGGERS_TASK_QUEUE: taskQueue };
    const program = new Program('sh', ['-c', `exec env ${line}`], { env, cwd: root });
    programs.push(program);
    return program;
  };
  try {
    const all = commands();
    for (const part of [
      'up',
      'receive',
      'start',
      'push',
      'list',
      'pause',
      'resume',
      'edit',
      'backfill',
      'status',
      'stop',
    ])
      expect(all.filter((line) => line.includes(`triggers ${part}`)).length).toBeGreaterThan(0);
    expect(all.some((line) => line.startsWith('temporal workflow signal'))).toBe(true);
    expect(all.some((line) => line.startsWith('curl '))).toBe(true);

    for (const command of all) {
      const program = start(command);
      if (/triggers up/.test(command)) await program.says(({ stdout }) => stdout.startsWith('Ready.\n'));
      else if (/triggers receive/.test(command)) {
        await program.says(({ stderr }) => stderr.includes('Stop with Ctrl-C.'));
        hook = /http:\S+/.exec(program.stderr)?.[0] ?? '';
        writeFileSync(join(folder, 'job.json'), exampleJob(hook));
      } else if (/--watch/.test(command)) {
        await program.says(({ stdout }) => stdout !== '');
        program.signal('SIGINT');
        expect((await program.end()).code).toBe(0);
      } else {
        const { code, stderr } = await program.end();
        expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: expect.anything() });
      }
    }
    const watch = await operator.run(['status', 'vips-to-the-crm', '--watch', '--json']);
    const last = JSON.parse(watch.stdout.trim().split('\n').at(-1) ?? '') as JobStatus;
    // One pushed, two in a file, one by the temporal command line, one by curl; two members, twice.
    expect(last).toMatchObject({ state: 'stopped', received: 5, rejected: 0, waiting: 0, parallelRequestCount: 50 });
    expect(last.delivered).toBeGreaterThanOrEqual(5 + 2);
    const receiver = programs[1]?.stdout ?? '';
    expect(receiver).toMatch(/enter {2}7076027172059065053 {2}vip/);
    expect(receiver).toMatch(/exit {3}3318840061257794210 {2}vip/);
  } finally {
    // In the order in which they lean on each other: the receiver answers until the worker has ended.
    programs[0]?.signal('SIGINT');
    await programs[0]?.end();
    await Promise.all(programs.map((program) => program.kill()));
    rmSync(folder, { recursive: true });
  }
}, 120_000);

/** `npx`, `triggers` and `temporal`, as a clone with a build has them. */
function toolsIn(folder: string): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(temporal.cliPath, join(bin, 'temporal'));
  const main = join(root, 'lib', 'cli', 'main.js');
  for (const [name, script] of [
    ['npx', 'exec "$@"'],
    ['triggers', `exec "${process.execPath}" "${main}" "$@"`],
  ] as const) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

function exampleJob(webhookUrl: string): string {
  const job: unknown = JSON.parse(readFileSync(join(root, 'examples', 'job.json'), 'utf8'));
  return JSON.stringify({ ...(job as object), webhookUrl });
}

test('every error that the client throws has its line in the README', () => {
  const names = Object.keys(errors).filter((name) => name !== 'TriggersError');
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !readme.includes(`| \`${name}\``))).toEqual([]);
});

test('every relative link in a Markdown file leads somewhere', () => {
  const ours = readdirSync(root, { withFileTypes: true }).filter(
    ({ name }) => !/^(\.git|node_modules|lib)$/.test(name),
  );
  const files = ours
    .flatMap((entry) =>
      entry.isDirectory()
        ? readdirSync(join(root, entry.name), { recursive: true, encoding: 'utf8' }).map((path) =>
            join(entry.name, path),
          )
        : [entry.name],
    )
    .filter((path) => path.endsWith('.md'));
  expect(files).toContain('README.md');
  const broken = files.flatMap((file) => {
    const links = [...readFileSync(join(root, file), 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    const targets = links.filter((link) => !/^[a-z]+:|^#/.test(link)).map((link) => link.replace(/#.*$/, ''));
    return targets
      .filter((link) => !existsSync(join(root, dirname(file), link)))
      .map((link) => `${relative(root, file)}: ${link}`);
  });
  expect(broken).toEqual([]);
});
