import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { Activities, RpcCall } from '../contract/ports.ts';

const worker = proxyActivities<Activities>({ startToCloseTimeout: '20 seconds', scheduleToCloseTimeout: '1 minute' });
// Reads all members. A worker that is lost, or a source that fails for a while, costs another try.
const comparing = proxyActivities<Activities>({
  startToCloseTimeout: '1 hour',
  heartbeatTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumAttempts: 3 },
});
// Tried once, whatever happens, so that an endpoint gets no more than the person asked for.
const sender = proxyActivities<Activities>({
  scheduleToStartTimeout: '10 seconds',
  startToCloseTimeout: '150 seconds',
  retry: { maximumAttempts: 1 },
});

/** Asks a worker what only it knows: this is how a client that reaches only Temporal learns of its source and its authorizations. */
export async function workerRpc(...[question, argument]: RpcCall): Promise<unknown> {
  switch (question) {
    case 'prepareJob':
      return await worker.prepareJob(argument);
    case 'prepareWatch':
      return await worker.prepareWatch(argument);
    case 'keepTheirMembers':
      return await worker.keepTheirMembers(argument);
    case 'compareMembers':
      return await comparing.compareMembers(argument);
    case 'forgetDifference':
      return await worker.forgetDifference(argument);
    case 'listAuthorizations':
      return await worker.listAuthorizations();
    case 'listAudiences':
      return await worker.listAudiences();
    case 'listProfileFields':
      return await worker.listProfileFields(argument);
    case 'sampleRequest':
      return await worker.sampleRequest(argument);
    case 'sendSample':
      return await sender.sendSample(argument);
    default:
      // Anybody who reaches the server can start this, with anything.
      throw ApplicationFailure.nonRetryable('This worker knows no such question.', 'UnknownQuestion');
  }
}
