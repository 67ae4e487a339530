import { afterAll, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { isRun, NOT_RUN } from './not-run.ts';
import { PAGES, shellBlocksOf } from './pages.ts';
import { ownArguments, ParsingShell } from './shell-lines.ts';
import { Stage, STAGE_BEARER } from './stage.ts';

const shell = new ParsingShell();

/** The lines of a page that call this program. */
function ownLines(page: string): string[] {
  const lines = shellBlocksOf(page).flatMap((block) => shell.linesOf(block));
  return lines.filter((line) => shell.callsOf(line).some((call) => ownArguments(call) !== undefined));
}

// These are run by tests of their own, which look closer.
const BY_THEMSELVES = ['README.md', 'docs/ingests.md'];
const pages = PAGES.filter((page) => !BY_THEMSELVES.includes(page))
  .map((page) => ({ page, lines: ownLines(page).filter((line) => isRun(page, line)) }))
  .filter(({ lines }) => lines.length > 0);

const stage = await Stage.open();
afterAll(() => stage.close());

/** What has to have come of a page's commands, beyond that they end well. */
const CAME_OF: Readonly<Record<string, () => Promise<void>>> = {
  // Its job takes a file, is edited and taken back, kept and resumed, and ends with everything sent.
  'docs/jobs.md': async () => {
    const { stdout } = await stage.run('triggers status JOB --json');
    const status = JSON.parse(stdout) as JobStatus; // As the command says it.
    expect(status).toMatchObject({ received: 2, rejected: 0, waiting: 0, revision: 4 });
    const told = stage.receiver.ledger.entries.map(({ message }) => `${message?.event} ${message?.user}`);
    expect(told).toEqual(expect.arrayContaining(['exit 3318840061257794210', 'enter 7076027172059065053']));
  },
  // All that runs has a file, which says what it is.
  'docs/jobs-as-files.md': async () => {
    const { stdout } = await stage.run('triggers apply examples/jobs --prune --dry-run');
    expect(stdout).toBe('unchanged  3 jobs\nAll jobs are already up to date.\n');
  },
  // Its job is pointed at the endpoint, with an authorization, and then sends everybody who is a member.
  'docs/from-lytics.md': async () => {
    const { ledger } = stage.receiver;
    const told = () =>
      ledger.entries
        .filter(({ headers, deliveryId }) => {
          return headers?.['authorization'] === STAGE_BEARER && deliveryId?.startsWith('test-') === false;
        })
        .map(({ message }) => `${message?.event} ${message?.slug} ${message?.user}`);
    await ledger.waitFor(() => told().length >= 3);
    expect(told().sort()).toEqual([
      'enter vip 12645278470990184693',
      'enter vip 3318840061257794210',
      'enter vip 7076027172059065053',
    ]);
  },
};

test.each(pages)(
  'the commands of $page do what they say, one after the other, as they stand there',
  async ({ page, lines }) => {
    stage.showFiles(page);
    try {
      await stage.startSampleJob();
      for (const line of lines) {
        const { code, stderr } = await stage.run(line);
        expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: expect.anything() });
      }
      await CAME_OF[page]?.();
    } finally {
      await stage.tidy();
    }
  },
);

test.each(NOT_RUN)('$page still has the command that is not run: $line', ({ page, line }) => {
  expect(ownLines(page)).toContain(line);
});
