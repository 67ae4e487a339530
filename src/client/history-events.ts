import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { payloadConverter } from '../payload-converter.ts';
import { GRPC, grpcCode } from './server-errors.ts';

/** Events per page; fewer where these are more bytes than the client accepts, which by gRPC's default is 4 MiB. */
const PAGE_EVENTS = 100;

export type HistoryEvent = NonNullable<
  NonNullable<Awaited<ReturnType<Client['workflowService']['getWorkflowExecutionHistory']>>['history']>['events']
>[number];

/**
 * The events of a run's history, page by page.
 *
 * @param follow continues with what happens until the run closes, or until this is aborted.
 */
export async function* historyEvents(
  client: Client,
  workflowId: string,
  runId: string,
  follow?: AbortSignal,
): AsyncIterable<HistoryEvent> {
  let nextPageToken: Uint8Array | undefined;
  do {
    const page = await readPage(client, workflowId, runId, nextPageToken, follow).catch((error: unknown) => {
      if (follow?.aborted === true) return undefined;
      throw error;
    });
    if (page === undefined) return;
    yield* page.history?.events ?? [];
    nextPageToken = page.nextPageToken ?? undefined;
  } while (nextPageToken !== undefined && nextPageToken.length > 0);
}

async function readPage(
  client: Client,
  workflowId: string,
  runId: string,
  nextPageToken: Uint8Array | undefined,
  follow: AbortSignal | undefined,
  maximumPageSize = PAGE_EVENTS,
) {
  const request = {
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize,
    ...(nextPageToken === undefined ? {} : { nextPageToken }),
    ...(follow === undefined ? {} : { waitNewEvent: true }),
  };
  const read = () => client.workflowService.getWorkflowExecutionHistory(request);
  try {
    // Each page has a signal of its own, because the SDK never removes its listener.
    return await (follow === undefined ? read() : client.withAbortSignal(AbortSignal.any([follow]), read));
  } catch (error) {
    if (grpcCode(error) !== GRPC.RESOURCE_EXHAUSTED || maximumPageSize === 1) throw error;
    return await readPage(client, workflowId, runId, nextPageToken, follow, Math.ceil(maximumPageSize / 5));
  }
}

/** Reads payloads as the job's own workflow does, whatever converter the client has. @throws UnknownPayloadKey */
export async function decode(client: Client, payloads: readonly Payload[] | null | undefined): Promise<unknown[]> {
  let decoded = [...(payloads ?? [])];
  for (const codec of client.options.loadedDataConverter.payloadCodecs.toReversed())
    decoded = await codec.decode(decoded);
  return decoded.map((payload) => payloadConverter.fromPayload(payload));
}
