import type { WorkerRpc } from '../../domain/worker-rpc.ts';
import type { Sample, Sampled, SampleInput, SentSample } from './sample.ts';

/** The activities of the preview. */
export interface PreviewActivities {
  /** The request that would be made about a real person. */
  readonly sampleRequest: (input: SampleInput) => Promise<Sampled<Sample>>;
  /** Sends it: one request, and a second one only after a 401 that a new token may fix. Must not be retried. */
  readonly sendSample: (input: SampleInput) => Promise<Sampled<SentSample>>;
}

export const SAMPLE_REQUEST: WorkerRpc<PreviewActivities['sampleRequest']> = {
  method: 'sampleRequest',
  id: 'sample-request',
  summary: 'Shows a request',
  runs: 'short',
};
export const SEND_SAMPLE: WorkerRpc<PreviewActivities['sendSample']> = {
  method: 'sendSample',
  id: 'send-sample',
  summary: 'Sends one message to try an endpoint',
  runs: 'once',
};
