import type { Sample, SampleAnswer } from './sample.ts';
import { retryDelaysMs } from '../../domain/retry.ts';
import { duration } from '../../domain/text.ts';
import type { AttemptVerdict } from '../../contract/verdict.ts';

/** Says how often, and for how long, a job would retry. */
function again({ retryFor }: Pick<Sample, 'retryFor'>): string {
  const delays = retryDelaysMs(retryFor ?? null);
  const over = duration(delays.reduce((sum, ms) => sum + ms, 0));
  return ` A job would send it again ${delays.length} times over ${over}, then make it a dead letter.`;
}

/**
 * The meaning of an answer for a job, by verdict. The last three are here for completeness: without a message to send, a test returns a
 * `NoSample` instead of an answer. `worker-fault` comes back where the worker may not, or cannot, connect (`ADDRESS_REFUSED`,
 * `PROXY_FAILED`, `EMFILE` …).
 */
const MEANING: Readonly<Record<AttemptVerdict, string>> = {
  delivered: 'A job would count it as delivered.',
  transient: 'The endpoint is unhealthy.',
  misconfigured: 'Only a person can fix this: check the webhook URL and the authorization.',
  throttled: 'The endpoint asks to wait. A job would wait that long with all its triggers; no attempt is counted.',
  'endpoint-gone': 'The endpoint asks never to be called again. A job would pause itself and keep everything.',
  pausing: 'A job would pause itself and keep everything, as its "answers" say.',
  'given-up': 'A job would make it a dead letter at once, as its "answers" say, and go on with the next one.',
  refused:
    'This message is refused. A job would make it a dead letter at once, and go on with the next one; but as long as its endpoint has accepted nothing at all, or refuses everybody, it would send it again.',
  'worker-fault':
    "The request was not made, for a reason of the worker's own: its configuration, its machine or a fault in it. A job would keep its triggers and count no attempt.",
  skipped: 'A template skips this person. A job would send nothing, and count it as filtered.',
  unsendable: 'No message can be made. A job would make it a dead letter.',
  source: 'The audience source could not be read. A job would wait for it.',
  'profile-missing': 'The source does not know the person. A job would retry, then send without a profile.',
};

/** Returns what an answer to a test would mean for the sampled job, for people. */
export function meaningOf({ verdict }: Pick<SampleAnswer, 'verdict'>, sample: Pick<Sample, 'retryFor'> = {}): string {
  return MEANING[verdict] + (verdict === 'transient' || verdict === 'misconfigured' ? again(sample) : '');
}
