import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { Operator, Program } from '../support/triggers-cli.ts';
import { isRun } from './not-run.ts';
import { root, shellBlocksOf } from './pages.ts';
import { toolsIn } from './reader-tools.ts';
import { type Call, ownArguments, ParsingShell } from './shell-lines.ts';

const page = 'README.md';
const shell = new ParsingShell();
afterAll(() => shell.close());

/** The commands of its shell blocks that are ours or signal a job, in their order. */
function commands(): string[] {
  const lines = shellBlocksOf(page).flatMap((block) => shell.linesOf(block));
  const isOurs = (call: Call): boolean => ownArguments(call) !== undefined || call.program === 'temporal';
  return lines.filter((line) => shell.callsOf(line).some(isOurs) && isRun(page, line));
}

test('the commands of the README do what it says, one after the other, as they stand there', async () => {
  const taskQueue = `readme-${randomUUID()}`;
  const operator = new Operator(taskQueue);
  const folder = mkdtempSync(join(tmpdir(), 'readme-'));
  const bin = toolsIn(folder);
  const programs: Program[] = [];
  let hook = '';
  const start = (command: string): Program => {
    const line = command.replace('--port 9000', '--port 0').replace('examples/job.json', join(folder, 'job.json'));
    const env = { PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, TRIGGERS_TASK_QUEUE: taskQueue };
    const program = new Program('sh', ['-c', `exec env ${line}`], { env, cwd: root });
    programs.push(program);
    return program;
  };
  try {
    const all = commands();
    for (const part of ['up', 'receive', 'start', 'push', 'status', 'list', 'stop'])
      expect(all.filter((line) => line.includes(`triggers ${part}`)).length).toBeGreaterThan(0);
    expect(all.some((line) => line.startsWith('temporal workflow signal'))).toBe(true);

    for (const command of all) {
      const program = start(command);
      if (/triggers up/.test(command)) await program.says(({ stdout }) => stdout.startsWith('Ready.\n'));
      else if (/triggers receive/.test(command)) {
        await program.says(({ stderr }) => stderr.includes('Stop with Ctrl-C.'));
        hook = /http:\S+/.exec(program.stderr)?.[0] ?? '';
        writeFileSync(join(folder, 'job.json'), exampleJob(hook));
      } else {
        const { code, stderr } = await program.end();
        expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: expect.anything() });
      }
    }
    const watch = await operator.run(['status', 'vips-to-the-crm', '--watch', '--json']);
    const last = JSON.parse(watch.stdout.trim().split('\n').at(-1) ?? '') as JobStatus;
    // One pushed, one by the temporal command line; the former may have taken the place of a member's enter.
    expect(last).toMatchObject({ state: 'stopped', received: 2, rejected: 0, waiting: 0 });
    expect(last.delivered).toBeGreaterThanOrEqual(2 + 2);
    const receiver = programs[1]?.stdout ?? '';
    for (const user of ['12645278470990184693', '3318840061257794210', '7076027172059065053'])
      expect(receiver).toMatch(new RegExp(`enter {2}${user} {2}vip`));
  } finally {
    // In the order in which they lean on each other: the receiver answers until the worker has ended.
    programs[0]?.signal('SIGINT');
    await programs[0]?.end();
    await Promise.all(programs.map((program) => program.kill()));
    rmSync(folder, { recursive: true });
  }
});

function exampleJob(webhookUrl: string): string {
  const job: unknown = JSON.parse(readFileSync(join(root, 'examples', 'job.json'), 'utf8'));
  return JSON.stringify({ ...(job as object), webhookUrl });
}
