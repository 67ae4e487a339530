import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { payloadConverter } from '../payload-converter.ts';

export type HistoryEvent = NonNullable<NonNullable<Awaited<ReturnType<typeof readPage>>['history']>['events']>[number];

/**
 * The events of a run's history, page by page.
 *
 * @param follow goes on with what happens until the run closes, or until it is aborted.
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
) {
  const request = {
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    ...(nextPageToken === undefined ? {} : { nextPageToken }),
  };
  if (follow === undefined) return await client.workflowService.getWorkflowExecutionHistory(request);
  // One of its own for each page: the SDK never takes its listener off.
  return await client.withAbortSignal(AbortSignal.any([follow]), () =>
    client.workflowService.getWorkflowExecutionHistory({ ...request, waitNewEvent: true }),
  );
}

/** Reads payloads as the job's own workflow does, whatever converter the client has. @throws UnknownPayloadKey */
export async function decode(client: Client, payloads: readonly Payload[] | null | undefined): Promise<unknown[]> {
  let decoded = [...(payloads ?? [])];
  for (const codec of client.options.loadedDataConverter.payloadCodecs.toReversed())
    decoded = await codec.decode(decoded);
  return decoded.map((payload) => payloadConverter.fromPayload(payload));
}
