import type { Client } from '@temporalio/client';
import { GRPC, grpcCode } from './server-errors.ts';

/** Longest wait, in ms, for Temporal to show that it is there. */
const ANSWER_MS = 2_000;

/** Why Temporal cannot be worked with at the moment, in words; undefined when it can. For `/readyz`, which is asked every few seconds. */
export async function temporalProblem(client: Client): Promise<string | undefined> {
  const { namespace } = client.options;
  try {
    await client.withDeadline(Date.now() + ANSWER_MS, () => client.workflowService.describeNamespace({ namespace }));
    return undefined;
  } catch (error) {
    const code = grpcCode(error);
    // Who may not ask this may still be able to work, and has been answered.
    if (code === GRPC.PERMISSION_DENIED) return undefined;
    if (code === GRPC.NOT_FOUND) return `Temporal has no namespace "${namespace}".`;
    if (code === GRPC.UNAUTHENTICATED) return 'Temporal does not accept who we are: the API key or the certificate.';
    return 'Temporal does not answer.';
  }
}
