import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { startReceiver } from '../../src/local/receiver.ts';
import { Operator, startTriggers } from '../support/triggers-cli.ts';

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
  const folder = mkdtempSync(join(tmpdir(), 'setup-doc-'));
  const receiver = await startReceiver();
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
      const [before = '', after = ''] = stderr.split(/(?=\nWhat its answers mean)/);
      expect(withoutChance(before + stdout + after)).toBe(withoutChance(prints));
    }
  } finally {
    await worker.kill();
    await receiver.close();
    rmSync(folder, { recursive: true });
  }
});
