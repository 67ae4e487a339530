import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';
import { answerWhen } from '../support/patience.ts';
import { Program } from '../support/triggers-cli.ts';
import { blocksOf, root, shellBlocksOf } from './pages.ts';
import { toolsIn } from './reader-tools.ts';
import { ParsingShell } from './shell-lines.ts';

const page = 'docs/ingests.md';
const shell = new ParsingShell();
afterAll(() => shell.close());

test('from a clone, a body of Segment comes out at a webhook, by the lines of docs/ingests.md as they stand there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingests-'));
  cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true });
  const config = blocksOf(page).find(({ file }) => file === 'triggers.config.json');
  writeFileSync(join(folder, 'triggers.config.json'), config?.text ?? '');
  const env: Record<string, string | undefined> = {
    PATH: `${toolsIn(folder)}${delimiter}${process.env['PATH'] ?? ''}`,
    TEMPORAL_ADDRESS: undefined,
    TRIGGERS_TASK_QUEUE: undefined,
  };
  const lines = shellBlocksOf(page).flatMap((block) => shell.linesOf(block));
  const [up = '', receive = '', start = '', tryIt = '', curl = '', ...more] = lines;
  expect(more).toEqual([]);
  const programs: Program[] = [];
  const begin = (line: string): Program => {
    const program = new Program('sh', ['-c', `exec env ${line}`], { env, cwd: folder });
    programs.push(program);
    return program;
  };
  try {
    const upped = begin(`${up} --port 0 --ui-port 0 --http-port 0 --api-port 0 --json`);
    await upped.says(({ stdout }) => stdout.includes('\n'));
    const { address, apiUrl } = JSON.parse(upped.stdout) as { address: string; apiUrl: string }; // As `up --json` says it.
    env['TEMPORAL_ADDRESS'] = address;
    const received = begin(receive.replace('--port 9000', '--port 0'));
    await received.says(({ stderr }) => stderr.includes('Stop with Ctrl-C.'));
    const origin = new URL(/http:\S+/.exec(received.stderr)?.[0] ?? '').origin;
    const job = join(folder, 'examples', 'job.json');
    writeFileSync(job, readFileSync(job, 'utf8').replace('http://127.0.0.1:9000', origin));
    for (const line of [start, tryIt]) {
      const { code, stdout, stderr } = await begin(line).end();
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: expect.anything() });
      if (line === tryIt) expect(stdout).toMatch(/^exit {3}3318840061257794210 {2}vip or aud_5c1e {2}2026/);
    }
    expect(curl).toMatch(/^curl /);
    // What it brings cannot have come by anything else.
    await received.says((program) => program.stdout.split('\n').length > 3);
    expect(received.stdout).not.toMatch(/exit/);
    const post = async () =>
      await promisify(execFile)('sh', ['-c', curl.replace('http://127.0.0.1:7280', apiUrl)], { cwd: folder });
    // It is known a second or so after its start that the job listens.
    const { stdout } = await answerWhen(post, (said) => said.stdout.includes('"unmatched":0'), 1100);
    expect(JSON.parse(stdout)).toMatchObject({ accepted: 1 });
    await received.says((program) => /exit {3}3318840061257794210 {2}vip/.test(program.stdout));
  } finally {
    programs[0]?.signal('SIGINT');
    await programs[0]?.end();
    await Promise.all(programs.map((program) => program.kill()));
    rmSync(folder, { recursive: true });
  }
});
