import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { WatchStatus } from '../../src/client/export-jobs.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const id = randomUUID().replaceAll('-', '');
const slug = `slug-${id}`;

let folder: string;
let lab: Lab;
let operator: Operator;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'watch-'));
  const members = Array.from({ length: 40 }, (_, i) => String(i));
  lab = await Lab.open({
    content: { audiences: [{ id, slug, name: 'Of one test', members }] },
    config: { watch: { folder } },
  });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

async function listed(isAsWanted: (status: WatchStatus) => boolean): Promise<void> {
  const list = async () => {
    const { stdout } = await operator.run(['watch', '--list', '--json']);
    const watches = stdout.split('\n').filter((line) => line !== '');
    return watches.map((line) => JSON.parse(line) as WatchStatus);
  };
  await answerWhen(list, (all) => all.some((status) => status.audience.id === id && isAsWanted(status)));
}

test('a watch from its start to its end: each for people and for machines', async () => {
  const misspelt = await operator.run(['watch', `${slug}s`]);
  expect(misspelt.code).toBe(2);
  expect(unwrapped(misspelt.stderr)).toContain(`Did you mean "${slug}"?`);

  const { stdout } = await operator.run(['watch', slug, '--every', '2h']);
  expect(unwrapped(stdout)).toBe(
    `Watching ${slug} every 2 h. Current members are not reported. See how it goes with: triggers watch --list`,
  );
  const changed = await operator.json<WatchStatus>(['watch', slug, '--every', '1h', '--largest-exit', '30']);
  expect(changed).toMatchObject({ isNew: false, everyMs: 3_600_000, largestExitPercent: 30 });
  await listed(({ rounds }) => rounds === 1);
  const { stdout: list } = await operator.run(['watch', '--list']);
  expect(list).toContain(
    `${slug} (Of one test)\n  Id            ${id}\n  State         waiting for the next round\n  Members       40\n`,
  );

  expect((await operator.run(['watch', slug, '--accept'])).stdout).toBe(`Nothing is held for ${slug}.\n`);
  for (let user = 0; user < 20; user++) lab.source.exit(id, String(user));
  expect((await operator.run(['watch', slug, '--now'])).stdout).toBe(`Reading the members of ${slug} now.\n`);
  await listed(({ held }) => held?.exits === 20);
  expect((await operator.run(['watch', slug, '--accept'])).stdout).toContain('Accepted: 20 members of');
  await listed(({ exits }) => exits === 20);

  expect((await operator.run(['watch', slug, '--stop'])).stdout).toBe(`Stopped watching ${slug}.\n`);
  const late = await operator.run(['watch', slug, '--now']);
  expect([late.code, unwrapped(late.stderr)]).toEqual([
    1,
    `The audience "${slug}" is not watched. See all watches: triggers watch --list`,
  ]);
});

test('a worker without a folder for snapshots says so before anything is started', async () => {
  const poor = await Lab.open({ content: { audiences: [{ id, slug, name: 'Of one test', members: [] }] } });
  try {
    const { code, stderr } = await new Operator(poor.taskQueue).run(['watch', slug]);
    expect([code, unwrapped(stderr)]).toEqual([2, expect.stringContaining('TRIGGERS_WATCH_FOLDER')]);
  } finally {
    await poor.close();
  }
});
