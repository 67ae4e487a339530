import { Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, type Payload, type PayloadCodec } from '@temporalio/common';
import type { JobEnd, JobState } from '../../contract/job-status.ts';
import { GRPC, grpcCode } from './server-errors.ts';
import { keyMissing, undecodableReason } from '../../domain/errors.ts';
import { payloadConverterPath } from '../../temporal/data-converter.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { payloadConverter } from '../../temporal/payload-converter.ts';

// Everything here comes from the server's own record of a workflow: no worker is asked.

/** Whether a workflow has not ended. */
export function isOpen({ status }: Pick<WorkflowExecutionDescription, 'status'>): boolean {
  return status.name === 'RUNNING' || status.name === 'PAUSED';
}

export const JOB_STATUS = defineSearchAttributeKey('ExportJobStatus', SearchAttributeType.KEYWORD);

/**
 * Whether a job has stopped and keeps its backlog: its workflow is open, and sends nothing until it is resumed. Its memo says so, even in the
 * first moments of the run that keeps it, when its search attribute still says `stopping`. A memo that cannot be read here may be from before a resume. Then
 * the attribute counts.
 */
export function isStopped(
  run: Pick<WorkflowExecutionDescription, 'status' | 'memo' | 'typedSearchAttributes'>,
): boolean {
  const kept = run.memo?.['kept'];
  if (!isOpen(run) || kept == null) return false;
  return undecodableReason(kept) === undefined || !GOING.has(run.typedSearchAttributes.get(JOB_STATUS));
}
const GOING: ReadonlySet<string | undefined> = new Set<JobState>(['running', 'paused', 'stopping']);

/** The open workflow with this id; undefined when there is none. */
export async function describeOpen(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  const found = await describeLast(client, workflowId);
  return found !== undefined && isOpen(found) ? found : undefined;
}

/** The last run of a workflow, also one that has ended; undefined when the server knows none. */
export async function describeLast(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    throw error;
  }
}

/** Returns in words how a closed workflow ended. */
export function endedAs(status: string): 'stopped' | JobEnd {
  return ENDS[status] ?? 'stopped';
}
const ENDS: Readonly<Record<string, JobEnd>> = {
  TERMINATED: 'terminated',
  FAILED: 'failed',
  TIMED_OUT: 'timed out',
  CANCELED: 'canceled',
};

/** Whether a job with this status did not end normally, so that its undelivered triggers can be recovered. */
export function endedFromOutside(status: string): boolean {
  return FROM_OUTSIDE.has(status);
}
const FROM_OUTSIDE: ReadonlySet<string> = new Set(['TERMINATED', 'TIMED_OUT', 'FAILED']);

/** Until when the server keeps the history of a workflow that has ended, in epoch ms; undefined when unknown. */
export async function retainedUntil(
  client: Client,
  { closeTime }: WorkflowExecutionDescription,
): Promise<number | undefined> {
  if (closeTime === undefined) return undefined;
  const retention = await retentionMs(client);
  return retention === undefined ? undefined : closeTime.getTime() + retention;
}

/** How long, in ms, the server keeps the history of a workflow after its end; undefined when unknown. */
export async function retentionMs(client: Client): Promise<number | undefined> {
  const { config } = await client.workflowService.describeNamespace({ namespace: client.options.namespace });
  const retention = config?.workflowExecutionRetentionTtl;
  return retention == null ? undefined : Number(retention.seconds ?? 0) * 1000;
}

const made = new WeakMap<Client, Client>();

/**
 * Returns a client for lists: a payload that cannot be decrypted here becomes a value that says why (`undecodableReason`). A list includes workflows
 * of others, encrypted with their own keys. A strict client would fail on the whole list because of one of them.
 */
export function clientForLists(client: Client): Client {
  const known = made.get(client);
  if (known !== undefined) return known;
  const { connection, options } = client;
  const { namespace, loadedDataConverter } = options;
  const payloadCodecs = loadedDataConverter.payloadCodecs.map(sayingWhy);
  const lenient = new Client({ connection, namespace, dataConverter: { payloadConverterPath, payloadCodecs } });
  made.set(client, lenient);
  return lenient;
}

function sayingWhy(codec: PayloadCodec): PayloadCodec {
  return {
    encode: (payloads) => codec.encode(payloads),
    decode: (payloads) => Promise.all(payloads.map((payload) => decodedOrWhyNot(codec, payload))),
  };
}

async function decodedOrWhyNot(codec: PayloadCodec, payload: Payload): Promise<Payload> {
  try {
    const [decoded = payload] = await codec.decode([payload]);
    return decoded;
  } catch (error) {
    return error instanceof UnknownPayloadKey ? payloadConverter.toPayload(keyMissing(error.message)) : payload;
  }
}
