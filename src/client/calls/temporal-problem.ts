import type { Client, ConnectionLike } from '@temporalio/client';
import { NotLetIn } from './errors.ts';
import { GRPC, grpcCode } from './server-errors.ts';

/** Longest wait, in ms, for Temporal to show that it is there. */
const ANSWER_MS = 2_000;

/** No workflow of ours is called so. */
const NOBODY = 'audience-triggers-may-signal';

/** A client, or the connection of a client or a worker. */
type Asking = Pick<ConnectionLike, 'workflowService'>;

/** Why Temporal cannot be used. */
export interface TemporalProblem {
  /** A name in docs/errors.md. */
  readonly code: string;
  readonly message: string;
}

/** Returns why Temporal cannot be used at the moment; undefined when it can. For `/readyz`, which is asked every few seconds. */
export async function temporalProblem(client: Client): Promise<TemporalProblem | undefined> {
  const { namespace } = client.options;
  const inTime = async <T>(ask: () => Promise<T>): Promise<T> => await client.withDeadline(Date.now() + ANSWER_MS, ask);
  try {
    if (!(await inTime(() => hasNamespace(client, namespace)))) return noNamespace(namespace);
    const refusal = await inTime(() => notLetIn(client, namespace));
    return refusal && { code: refusal.name, message: refusal.message };
  } catch {
    return { code: 'ServerUnreachable', message: 'Temporal does not answer.' };
  }
}

export function noNamespace(namespace: string): TemporalProblem {
  return { code: 'NamespaceNotFoundError', message: `Temporal has no namespace "${namespace}".` };
}

/** Whether there is such a namespace. True without the permission to ask: work may still be allowed. */
export async function hasNamespace({ workflowService }: Asking, namespace: string): Promise<boolean> {
  try {
    await workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return false;
    if (NotLetIn.of(error) !== undefined) return true;
    throw error;
  }
}

/**
 * Returns why Temporal denies the caller work in a namespace; undefined when it does not. Tries a signal, which all work needs, to a workflow that
 * does not exist.
 */
export async function notLetIn({ workflowService }: Asking, namespace: string): Promise<NotLetIn | undefined> {
  try {
    await workflowService.signalWorkflowExecution({
      namespace,
      workflowExecution: { workflowId: NOBODY },
      signalName: 'nothing',
    });
    return undefined;
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    const refusal = NotLetIn.of(error);
    if (refusal !== undefined) return refusal;
    throw error;
  }
}
