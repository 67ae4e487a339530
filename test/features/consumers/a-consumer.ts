import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import { request } from 'undici';
import { jobDirectory } from '../../../src/client/push/job-directory.ts';
import { jobSignals } from '../../../src/client/push/signal-sender.ts';
import { GroupedSignals } from '../../../src/client/push/job-pusher.ts';
import { type ConsumerLog, ConsumerMetrics, Handover } from '../../../src/features/consumers/handover.ts';
import { readExposition } from '../../support/exposition.ts';
import type { Lab } from '../../support/lab.ts';
import { until } from '../../support/patience.ts';
import type { Program } from '../../support/triggers-cli.ts';

/** What a consumer said, a line each: `warn a row is no trigger; it was set aside`. */
export class Said implements ConsumerLog {
  readonly lines: string[] = [];
  info = (message: string): void => void this.lines.push(`info ${message}`);
  warn = (message: string): void => void this.lines.push(`warn ${message}`);
  error = (message: string): void => void this.lines.push(`error ${message}`);
}

/** What a consumer works with, as `triggers consume` makes it. */
export function worldOf(lab: Lab, jobs?: readonly string[]) {
  const log = new Said();
  const metrics = new ConsumerMetrics();
  const signals = new GroupedSignals((jobId) => jobSignals(lab.client, jobId), 5_000);
  const handover = new Handover({
    directory: jobDirectory(lab.client, lab.taskQueue),
    signal: signals.signal.bind(signals),
    jobs,
    log,
    metrics,
  });
  return { handover, log, metrics };
}

/** Looks at all that a consumer serves once it has told of one person: the page about metrics has each of them, and nothing names the person. */
export async function expectServed(program: Program, kind: 'kafka' | 'outbox', user: string): Promise<void> {
  const { metricsUrl } = JSON.parse(program.stdout) as { metricsUrl: string }; // As `consume --json` says it.
  const get = async (path: string): Promise<string> => {
    const { statusCode, body } = await request(new URL(path, metricsUrl));
    return `${statusCode} ${await body.text()}`;
  };
  expect(await get('/healthz')).toBe('200 {"ok":true}\n');
  expect(await get('/readyz')).toBe('200 {"ok":true}\n');
  await until(async () => (await get('/metrics')).includes('triggers_consumer_triggers_total{outcome="accepted"} 1\n'));
  const text = await get('/metrics');
  expect(text).not.toContain(user);
  const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
  const rows = page.matchAll(new RegExp(`^\\| \`(triggers_(?:consumer|${kind})_\\w+)\``, 'gm'));
  const documented = Array.from(rows, ([, name = '']) => name);
  expect(documented.toSorted()).toEqual([...readExposition(text.slice(4)).keys()].toSorted());
}
