/**
 * The meaning of an attempt that did not deliver.
 *
 * - `transient`: the endpoint is unhealthy; the trigger's next attempt follows the retry schedule.
 * - `misconfigured`: like transient, but a failure that only a person can fix (a wrong URL, an expired token).
 * - `throttled`: the endpoint asks for a pause; costs the trigger no attempt.
 * - `endpoint-gone`: the endpoint asks never to be called again (410); the job pauses.
 * - `pausing`: the job pauses at this answer, as its `answers` say.
 * - `refused`: this payload will never be accepted.
 * - `given-up`: a trigger with this answer becomes a dead letter, as the job's `answers` say.
 * - `unsendable`: no message can be made; no request was made, so nothing is known about the endpoint.
 * - `source`: no profile could be read; no request was made, so nothing is known about the endpoint.
 * - `profile-missing`: the source does not know the person (yet); no request was made.
 * - `skipped`: a template of the job says that nothing is to be sent; no request was made.
 * - `worker-fault`: this worker's configuration, its machine or a fault in it prevents sending, and no request was made. Or its report does
 *   not say what came of one.
 */
export type Verdict =
  | 'transient'
  | 'misconfigured'
  | 'throttled'
  | 'endpoint-gone'
  | 'pausing'
  | 'refused'
  | 'given-up'
  | 'unsendable'
  | 'source'
  | 'profile-missing'
  | 'skipped'
  | 'worker-fault';

/** The verdict on any attempt: it delivered, or why it did not. */
export type AttemptVerdict = 'delivered' | Verdict;
