import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { labOfTest } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { Operator, Program, startTriggers } from '../support/triggers-cli.ts';
import { isRun } from './not-run.ts';
import { blocksOf, root, shellBlocksOf } from './pages.ts';
import { toolsIn } from './reader-tools.ts';
import { type Call, ownArguments, ParsingShell } from './shell-lines.ts';
import { tempFolder } from '../support/temp-folder.ts';

const page = 'README.md';
const shell = new ParsingShell();

/** The commands of its shell blocks that are ours or signal a job, in their order. */
function commands(): string[] {
  const lines = shellBlocksOf(page).flatMap((block) => shell.linesOf(block));
  const isOurs = (call: Call): boolean => ownArguments(call) !== undefined || call.program === 'temporal';
  return lines.filter((line) => shell.callsOf(line).some(isOurs) && isRun(page, line));
}

test('the commands of the README do what it says, one after the other, as they stand there', async () => {
  const taskQueue = `readme-${randomUUID()}`;
  const operator = new Operator(taskQueue);
  const folder = tempFolder();
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
    expect(last).toMatchObject({ state: 'stopped', rejected: 0, waiting: 0 });
    // The command line gives its signal no request id: when it tries again after a lost answer, the trigger is received twice.
    expect([2, 3]).toContain(last.received);
    expect(last.delivered).toBeGreaterThanOrEqual(2 + 2);
    const receiver = programs[1]?.stdout ?? '';
    for (const user of ['12645278470990184693', '3318840061257794210', '7076027172059065053'])
      expect(receiver).toMatch(new RegExp(`enter {2}${user} {2}vip`));
  } finally {
    // In the order in which they lean on each other: the receiver answers until the worker has ended.
    programs[0]?.signal('SIGINT');
    await programs[0]?.end();
    await Promise.all(programs.map((program) => program.kill()));
  }
});

function exampleJob(webhookUrl: string): string {
  const job: unknown = JSON.parse(readFileSync(join(root, 'examples', 'job.json'), 'utf8'));
  return JSON.stringify({ ...(job as object), webhookUrl });
}

describe('docs/setup.md', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));

  /** The commands of the page's transcripts, each with what it says it prints. */
  function transcripts(): { args: string[]; prints: string }[] {
    const page = readFileSync(join(root, 'docs', 'setup.md'), 'utf8');
    return [...page.matchAll(/^```console\n\$ triggers ([^\n]*)\n(.*?)^```$/gms)].map(
      ([, command = '', prints = '']) => ({
        args: command.split(' '),
        prints,
      }),
    );
  }

  /** A text in which what differs each time is the same. */
  function withoutChance(text: string): string {
    return text
      .replaceAll(/127\.0\.0\.1:\d+/g, 'ENDPOINT')
      .replaceAll(/audience-triggers\/[\d.]+/g, 'VERSION')
      .replaceAll(/(webhook-id: (?:test-)?)[0-9a-f]{32}/g, '$1ID')
      .replaceAll(/webhook-timestamp: \d+/g, 'TIMESTAMP')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)/g, 'TIME')
      .replaceAll(/\d+ ms/g, 'MS');
  }

  test('the transcripts of docs/setup.md are what the commands print', async () => {
    const folder = tempFolder();
    const receiver = await startRecorder();
    const taskQueue = `setup-doc-${randomUUID()}`;
    const job: unknown = JSON.parse(readFileSync(join(root, 'examples', 'job.json'), 'utf8'));
    writeFileSync(join(folder, 'job.json'), JSON.stringify({ ...(job as object), webhookUrl: `${receiver.url}hook` }));
    const network = { allowHttp: true, allowAddresses: ['127.0.0.0/8'] };
    const source = { kind: 'file', folder: join(root, 'examples', 'data') };
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ source, network }));
    const env = { TRIGGERS_TASK_QUEUE: taskQueue, TRIGGERS_CONFIG: join(folder, 'config.json') };
    const worker = startTriggers(['worker'], { env });
    try {
      await worker.says(({ stdout }) => stdout.includes('Worker ready'));
      const all = transcripts();
      expect(all.map(({ args: [command] }) => command)).toEqual(['render', 'test']);
      for (const { args, prints } of all) {
        const mine = args.map((one) => one.replace('examples/job.json', join(folder, 'job.json')));
        const { stdout, stderr } = await new Operator(taskQueue).run(mine);
        // A terminal shows what comes after the request last, though it goes to standard error as what comes before.
        const [before = '', after = ''] = stderr.split(/(?=\nMeaning of its answers)/);
        expect(withoutChance(before + stdout + after)).toBe(withoutChance(prints));
      }
    } finally {
      await worker.kill();
      await receiver.close();
    }
  });
});

describe('docs/ingests.md', () => {
  const page = 'docs/ingests.md';
  const shell = new ParsingShell();

  test('a Segment body comes out at a webhook, from a clone, by the lines of docs/ingests.md as they stand', async () => {
    const folder = tempFolder();
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
    }
  });
});

describe('docs/upstreams.md', () => {
  const page = readFileSync(new URL('../../docs/upstreams.md', import.meta.url), 'utf8');

  test('the command of docs/upstreams.md signals a job, as it stands there, and once more changes nothing', async () => {
    const lab = await labOfTest();
    const job = await lab.start();
    const [, command = ''] = /^```sh\n(curl .*?)^```$/ms.exec(page) ?? [];
    const line = command.replace('http://127.0.0.1:7243', temporal.httpUrl).replace('vips-to-the-crm', job);
    expect(line).toContain(`${temporal.httpUrl}/api/v1/namespaces/default/workflows/export-job-${job}/signal/triggers`);
    lab.source.setProfile('7076027172059065053', {});
    for (let times = 0; times < 2; times++) await promisify(execFile)('sh', ['-c', line]);
    await lab.arrives('7076027172059065053');
    const { received, rejected, repeated } = await lab.jobs.status(job);
    // The server itself drops a request id that it knows.
    expect({ received, rejected, repeated }).toEqual({ received: 1, rejected: 0, repeated: 0 });
  });
});
