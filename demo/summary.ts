import { type ExpectedTrigger, missingFrom, violationsIn } from './expected-triggers.ts';
import type { JobStatus } from '../src/contract/job-status.ts';
import type { Ledger } from './recorder.ts';

export interface DemoOutcome {
  /** Existing memberships that were to be sent. */
  readonly members: number;
  /** Live triggers, in the order in which they were signalled. */
  readonly expected: readonly ExpectedTrigger[];
  readonly status: JobStatus;
  /** What the built-in receiver wrote down; absent for an endpoint of the user's. */
  readonly ledger: Ledger | undefined;
}

/** The result of a demo, in words, and whether everything expected has arrived. */
export function demoSummary(outcome: DemoOutcome): { readonly text: string; readonly isComplete: boolean } {
  return outcome.ledger === undefined ? byStatus(outcome) : byLedger(outcome, outcome.ledger);
}

function byLedger({ members, expected, status }: DemoOutcome, ledger: Ledger): { text: string; isComplete: boolean } {
  const summary = ledger.summary();
  const missing = missingFrom(ledger, expected);
  const violations = violationsIn(ledger, expected);
  const wanted = members + expected.length;
  const isComplete = summary.delivered === wanted && missing.length === 0;
  const audiences = Object.entries(summary.byAudience)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([slug, { enter, exit }]) => row(`  ${slug}`, `${count(enter)} enter, ${count(exit)} exit`));
  return {
    isComplete,
    text: [
      'Arrived at the receiver',
      ...audiences,
      row('In all', `${count(summary.delivered)} of ${count(wanted)} expected`),
      row('Most in flight', `${summary.mostInFlight} (Parallel Request Count ${status.parallelRequestCount})`),
      row('Duplicates', count(summary.duplicates)),
      row('Out of order', count(violations.length)),
    ].join('\n'),
  };
}

/** At a foreign endpoint only the job itself knows what was answered. */
function byStatus({ members, expected, status }: DemoOutcome): { text: string; isComplete: boolean } {
  const wanted = members + expected.length;
  return {
    isComplete: status.delivered === wanted,
    text: [
      `Sent to ${status.webhookUrl}`,
      row('Delivered', `${count(status.delivered)} of ${count(wanted)}`),
      row('Waiting', count(status.waiting)),
      row('Retried', count(status.retried)),
    ].join('\n'),
  };
}

function row(name: string, value: string): string {
  return `${name.padEnd(20)}${value}`;
}

/** A number with its thousands apart. */
export function count(n: number): string {
  return n.toLocaleString('en');
}
