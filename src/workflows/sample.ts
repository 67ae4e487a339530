import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../contract/ports.ts';
import type { Sample, Sampled, SampleInput, SentSample } from '../contract/sample.ts';

const { sampleRequest: makeSample } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});
// Tried once, whatever happens, so that an endpoint gets no more than the person asked for.
const { sendSample: send } = proxyActivities<Activities>({
  scheduleToStartTimeout: '10 seconds',
  startToCloseTimeout: '150 seconds',
  retry: { maximumAttempts: 1 },
});

/** Asks a worker which request it would send, since a client that reaches only Temporal knows neither profiles nor authorizations. */
export async function sampleRequest(wanted: SampleInput): Promise<Sampled<Sample>> {
  return await makeSample(wanted);
}

/** Has a worker send one message, outside any job. */
export async function sendSample(wanted: SampleInput): Promise<Sampled<SentSample>> {
  return await send(wanted);
}
