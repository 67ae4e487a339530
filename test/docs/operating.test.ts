import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from '@jest/globals';
import { Deployment } from '../support/deployment.ts';
import { labOfFile } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { Program } from '../support/triggers-cli.ts';

const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
/** All calls of Temporal's CLI, in the page's order: those that stand alone, and those in a sentence. */
const COMMANDS = [...page.matchAll(/`(temporal [a-z-]+ [^`]+)`|^ *(temporal (?:.*\\\n)*.*)$/gm)].map(
  ([, inSentence, alone = '']) => (inSentence ?? alone).replaceAll(/\\?\s+/g, ' '),
);

const lab = await labOfFile({ workers: 0 });
const deployment = new Deployment(lab.client);
beforeAll(async () => {
  for (const build of ['1', '2']) {
    await lab.addWorker(deployment.build(build));
    await deployment.makeCurrent(build);
  }
  await lab.addWorker();
});

/** The server does one thing to many workflows at a time. */
async function untilNoBatchRuns(): Promise<void> {
  for (;;) {
    const { operationInfo } = await lab.client.workflowService.listBatchOperations({ namespace: temporal.namespace });
    if ((operationInfo ?? []).every(({ closeTime }) => closeTime != null)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The id of a workflow that somebody terminated; of which type makes no difference to the server. */
async function terminated(): Promise<string> {
  const handle = lab.handle(await lab.start());
  await handle.terminate('by mistake');
  return handle.workflowId;
}

/** A command as it stands there, word by word. */
function words(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
}

test('the page has the commands of an upgrade', () => {
  expect(COMMANDS.length).toBeGreaterThan(10);
  expect(COMMANDS.some((command) => command.includes('set-current-version'))).toBe(true);
});

test.each(COMMANDS)('Temporal takes the command %s', async (command) => {
  // As before an upgrade.
  await deployment.makeCurrent('1');
  await untilNoBatchRuns();
  const job = command.includes('JOB') ? await lab.start() : '';
  const here = command
    .replaceAll('JOB', job)
    .replaceAll('dead-letter-ID', command.includes('dead-letter-ID') ? await terminated() : '')
    .replaceAll('holder-SUBSCRIPTION-N', command.includes('SUBSCRIPTION') ? await terminated() : '')
    .replaceAll(/audience-triggers(?=:| --build-id| --unversioned|$)/g, deployment.name)
    .replace(`--task-queue ${deployment.name}`, `--task-queue ${lab.taskQueue}`);
  // It asks before it changes more than one workflow, or a deployment.
  const { code, stderr } = await new Program(temporal.cliPath, words(here).slice(1), { stdin: 'y\n' }).end();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
