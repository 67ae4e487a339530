import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { startRecorder } from '../../demo/recorder.ts';
import { childrenOf, isAlive, Program } from '../support/triggers-cli.ts';
import { afterwards } from '../webhook/a-server.ts';

const DEMO = ['--import', import.meta.resolve('tsx'), fileURLToPath(new URL('../../demo/main.ts', import.meta.url))];
const programs: Program[] = [];

afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
});

function demo(...args: string[]): Program {
  const program = new Program(process.execPath, [...DEMO, ...args]);
  programs.push(program);
  return program;
}

test('the demo ends with 0 and a summary once all that was expected has arrived', async () => {
  const { code, stdout, stderr } = await demo('--exit', '--people', '200', '--live', '20').end();
  expect(code).toBe(0);
  // Without a terminal, each part prints its progress once, as it begins.
  expect(stderr.match(/^- Live: .*enters and exits signalled$/gm)).toEqual([
    '- Live: 0 of 20 enters and exits signalled',
  ]);
  expect(stderr.match(/^- Backfill: /gm)?.length ?? 0).toBeLessThanOrEqual(1);
  expect(stdout).toMatch(/Job started: http:\/\/127\.0\.0\.1:\d+\/jobs\/demo\n/);
  const [, arrived, expected] = /In all +(\d+) of (\d+) expected/.exec(stdout) ?? [];
  expect(Number(arrived)).toBeGreaterThan(20);
  expect(arrived).toBe(expected);
  expect(stdout).toMatch(/ {2}vip +\d+ enter, \d+ exit/);
  expect(stdout).toMatch(/Duplicates +0\nOut of order +0\n/);
  // What has ended cannot be looked at any more.
  expect(stdout).not.toContain('Temporal UI');
});

test('from PostgreSQL: the tables are named, all arrives, and no server stays', async () => {
  const { code, stdout } = await demo('--exit', '--people', '200', '--live', '20', '--source', 'postgres').end();
  expect([code, stdout]).toEqual([0, expect.stringMatching(/Duplicates +0\nOut of order +0\n/)]);
  const [, port = ''] =
    /tables audiences \(3 rows\), profiles \(200 rows\), audience_members \(\d+ rows\) in postgres:\/\/postgres@127\.0\.0\.1:(\d+)\/demo/.exec(
      stdout,
    ) ?? [];
  await expect(once(connect(Number(port), '127.0.0.1'), 'connect')).rejects.toThrow(/ECONNREFUSED/);
});

test('a kind of source that the demo has not is answered with its help', async () => {
  const { code, stdout } = await demo('--source', 'nosuch').end();
  expect([code, stdout]).toEqual([2, expect.stringContaining('--source KIND')]);
});

test('against an endpoint that answers 500 it gives up, says why, and ends with 1', async () => {
  const endpoint = await startRecorder({ answer: () => ({ status: 500 }) });
  afterwards(() => endpoint.close());
  const { code, stdout } = await demo('--exit', '--people', '50', '--url', endpoint.url, '--patience', '3').end();
  expect(code).toBe(1);
  expect(stdout).toContain('Nothing was delivered for 3 s; last failure: HTTP 500. That is the end of the demo.');
  expect(stdout).not.toContain('done');
  expect(stdout).toMatch(/Delivered +0 of \d+\n/);
});

test('Ctrl-C in the middle leaves nothing running', async () => {
  const endpoint = await startRecorder({ answer: () => 'hang' });
  afterwards(() => endpoint.close());
  const running = demo('--people', '50', '--url', endpoint.url);
  await running.says(({ stdout }) => stdout.includes('Job started'));
  const children = await childrenOf(running.pid);
  expect(children.length).toBeGreaterThan(0);
  running.signal('SIGINT');
  await running.says(({ stdout }) => stdout.includes('Stopping …'));
  await endpoint.close(); // Requests in flight may take their time; now they need none.
  await running.end();
  expect(children.filter(isAlive)).toEqual([]);
});
