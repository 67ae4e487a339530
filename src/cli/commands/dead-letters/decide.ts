import ora from 'ora';
import type {
  Decided,
  DecisionOptions,
  DecisionProgress,
  ExportJobs,
  WhichDeadLetters,
} from '../../../client/export-jobs.ts';
import { printable } from '../../../domain/printable.ts';
import { confirmed } from '../../confirm.ts';
import { withJobs } from '../../jobs.ts';
import { count, counted } from '../../numbers.ts';
import { PartlyDone } from '../../partly-done.ts';
import { sentences } from '../../render.ts';
import { interruption, type Terminal } from '../../terminal.ts';
import { UsageError } from '../../usage-error.ts';
import { filterFrom } from './filter-options.ts';

/**
 * Which dead letters a command line means.
 * @throws UsageError when it names one and also gives a filter, or does neither.
 */
export function whichFrom(
  id: string | undefined,
  all: true | undefined,
  options: Parameters<typeof filterFrom>[0],
): WhichDeadLetters {
  const filter = filterFrom(options);
  const filters = all === true || Object.values(filter).some((value) => value !== undefined);
  if (id !== undefined && filters) throw new UsageError('Give either one id or a filter, not both.');
  if (id !== undefined) return id;
  if (!filters) throw new UsageError('Say which ones: an id, a filter such as --job vip-to-crm, or --all.');
  return { ...filter, all };
}

/** The words for a decision. */
interface Wording {
  readonly asks: string;
  /** What dead letters are afterwards: the singular, and the plural. */
  readonly done: { readonly one: string; readonly many: string };
  readonly failed: string;
}

/**
 * Carries out a decision: asks first when it is about many, shows progress, and reports each failure.
 * @throws PartlyDone when some were not done.
 */
export async function decide(
  terminal: Terminal,
  { json, yes, ...words }: Wording & { readonly json: boolean; readonly yes: boolean },
  carryOut: (deadLetters: ExportJobs['deadLetters'], options: DecisionOptions) => Promise<Decided>,
): Promise<void> {
  const stop = interruption();
  const spinner = !json && terminal.interactive ? ora({ stream: process.stderr }) : undefined;
  let far = '';
  const onProgress = ({ id, failure, settled, of }: DecisionProgress): void => {
    far = `${count(settled)} of ${count(of)}`;
    if (json) terminal.out(JSON.stringify({ id, ...(failure === undefined ? {} : { failure }) }));
    else if (failure !== undefined) {
      spinner?.clear();
      terminal.err(sentences(printable(`${id}: ${failure}`), terminal));
    }
    if (spinner !== undefined) spinner.text = far;
  };
  const confirm = async (found: number): Promise<boolean> => {
    const agreed = yes || (await confirmed(terminal, `${words.asks} ${counted(found, 'dead letter')}?`, stop.signal));
    if (agreed) spinner?.start();
    return agreed;
  };
  try {
    const { done, failures } = await withJobs((jobs) =>
      carryOut(jobs.deadLetters, { confirm, onProgress, signal: stop.signal }),
    );
    spinner?.stop();
    if (!json) terminal.out(doneText(done, words.done));
    if (failures.length === 0) return;
    throw new PartlyDone(`${counted(failures.length, 'dead letter')} ${words.failed}.`, done, failures.length);
  } catch (error) {
    spinner?.stop();
    if (!json && far !== '' && !(error instanceof PartlyDone)) terminal.err(`Stopped after ${far}.`);
    throw error;
  } finally {
    spinner?.stop();
    stop.dispose();
  }
}

function doneText(done: number, words: Wording['done']): string {
  if (done === 0) return 'Nothing was done.';
  return `${counted(done, 'dead letter')} ${done === 1 ? 'is' : 'are'} ${done === 1 ? words.one : words.many}.`;
}
