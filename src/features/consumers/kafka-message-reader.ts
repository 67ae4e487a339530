import type { Consumer, KafkaRecord, RecordsBatch } from '@platformatic/kafka';
import { InvalidTrigger } from '../../client/calls/errors.ts';
import type { CheckedTrigger } from '../../client/push/job-pusher.ts';
import { checked } from '../../client/push/push.ts';
import type { Json } from '../../contract/trigger.ts';
import { instantAfter, instantOf, withOffset } from '../../domain/instant.ts';
import { doubledKey, excessOf, MOST_IN_BODY } from '../../domain/json-scan.ts';
import { jsonMistake, parseJson } from '../../domain/json.ts';
import type { Arrival, Reading } from '../ingests/arrival.ts';
import { ExpressionThread } from '../ingests/expressions.ts';
import { type Ingest, mapped, type MappedChange, readArrival } from '../ingests/ingest.ts';

/** The contents of a message: triggers, in their order; nothing; or why it is neither. */
export type MessageReading =
  | { readonly kind: 'triggers'; readonly triggers: readonly CheckedTrigger[] }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'poison'; readonly reason: string };

/** Which of several names of an audience counts. */
export type NameOf = (audiences: MappedChange['audiences']) => Promise<string>;

const NOTHING: MessageReading = { kind: 'nothing' };
/** How often expressions are tried: a machine under load may give them too little time for once. */
const TRIES = 3;

/** Reads messages: JSON triggers, one or a list, or changes that an ingest reads in them. */
export class MessageReader {
  readonly #ingest: Ingest | undefined;
  readonly #thread = new ExpressionThread();

  /** @param ingest undefined: messages are triggers. */
  constructor(ingest: Ingest | undefined) {
    this.#ingest = ingest;
  }

  /**
   * Reads a whole message or nothing: one change that cannot be read spoils it.
   * @throws errors of `nameOf`
   */
  async read(message: KafkaMessage, nameOf: NameOf): Promise<MessageReading> {
    const { value } = message;
    // A tombstone, by which compaction removes its key.
    if (value === null) return NOTHING;
    if (value.length === 0) return { kind: 'poison', reason: 'it is empty' };
    const body = jsonIn(value);
    if ('reason' in body) return { kind: 'poison', reason: body.reason };
    const raws =
      this.#ingest === undefined ? listOf(body.json) : await this.#changesIn(this.#ingest, body.json, message, nameOf);
    if (typeof raws === 'string') return { kind: 'poison', reason: raws };
    const triggers: CheckedTrigger[] = [];
    for (const [index, raw] of raws.entries()) {
      const found = triggerIn(raw, message, index, raws.length);
      if (typeof found === 'string')
        return {
          kind: 'poison',
          reason: raws.length === 1 ? found : `number ${index + 1} of ${raws.length}: ${found}`,
        };
      triggers.push(found);
    }
    return triggers.length === 0 ? NOTHING : { kind: 'triggers', triggers };
  }

  async close(): Promise<void> {
    await this.#thread.close();
  }

  /** Returns the changes that an ingest reads in a message, or why it cannot. */
  async #changesIn(
    ingest: Ingest,
    body: Json,
    message: KafkaMessage,
    nameOf: NameOf,
  ): Promise<readonly unknown[] | string> {
    const arrival = arrivalOf(message, body);
    let reading: Reading | undefined;
    let reason: string | undefined;
    for (let tries = 0; tries < TRIES; tries++) {
      reading = await readArrival(ingest, arrival, this.#thread);
      reason = reasonIn(reading);
      if (reason === undefined) break;
    }
    if (reason !== undefined || reading === undefined) return reason ?? '';
    const raws: unknown[] = [];
    for (const change of reading.changes) {
      if ('reason' in change) continue;
      const { audiences, ...rest } = mapped(ingest, change);
      raws.push({ ...rest, audience: await nameOf(audiences) });
    }
    return raws;
  }
}

function reasonIn({ changes }: Reading): string | undefined {
  for (const change of changes) if ('reason' in change) return change.reason;
  return undefined;
}

function jsonIn(value: Buffer): { readonly json: Json } | { readonly reason: string } {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(value);
  } catch {
    return { reason: 'it is not UTF-8' };
  }
  const excess = excessOf(text, MOST_IN_BODY);
  if (excess !== undefined) return { reason: `it has more than ${MOST_IN_BODY[excess]} ${excess}` };
  try {
    const json = parseJson(text);
    const doubled = doubledKey(text);
    return doubled === undefined ? { json } : { reason: 'an object in it has a key twice' };
  } catch {
    // Never the parser's words, which quote the message.
    const { line, character } = jsonMistake(text);
    return { reason: `it is not JSON: something is wrong in line ${line}, at character ${character}` };
  }
}

function arrivalOf({ topic, key, headers }: KafkaMessage, body: Json): Arrival {
  const named = headers.map(([name, value]) => [String(name ?? '').toLowerCase(), value?.toString()] as const);
  return { headers: Object.fromEntries(named), query: { topic, key: key?.toString() }, body };
}

function triggerIn(raw: unknown, message: KafkaMessage, index: number, count: number): CheckedTrigger | string {
  try {
    return checked(raw, () => atOf(message, index, count));
  } catch (error) {
    if (error instanceof InvalidTrigger) return error.reason;
    throw error;
  }
}

/**
 * Returns the `at` of a trigger without one. It is the same whenever its message is read, so that a job knows a repeat. It differs for each message of a
 * millisecond, since one may have two changes of a person. The digits below the millisecond are those of the offset, and of the place in a list.
 * @throws InvalidTrigger when the message has no time
 */
export function atOf(
  { timestampMs, offset }: Pick<KafkaMessage, 'timestampMs' | 'offset'>,
  index: number,
  count: number,
): string {
  const last = (digits: bigint): number => Number(offset % digits);
  const nanoseconds = count === 1 ? last(1_000_000n) : last(1_000n) * 1_000 + index;
  if (!(timestampMs >= 0 && timestampMs <= LAST_MS))
    throw new InvalidTrigger('it says no "at", and its message has no time');
  return withOffset(instantAfter(instantOf(timestampMs), nanoseconds));
}

/** The end of the year 9999. */
const LAST_MS = 253_402_300_799_000;

function listOf(json: Json): readonly unknown[] {
  return Array.isArray(json) ? (json as readonly unknown[]) : [json];
}

/** One partition in a broker's answer. */
export type FetchedPartition = Pick<
  Awaited<ReturnType<Consumer['fetch']>>['responses'][number]['partitions'][number],
  'partitionIndex' | 'records' | 'abortedTransactions'
>;

/** One message of a partition. */
export interface KafkaMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** Epoch ms, as its producer or broker says. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  /** Null: a tombstone. */
  readonly value: Buffer | null;
  readonly headers: KafkaRecord['headers'];
}

/** The messages of one partition in one answer. */
export interface FetchedRecords {
  readonly messages: readonly KafkaMessage[];
  /** The offset to ask for next: markers and what compaction removed have offsets, too. */
  readonly nextOffset: bigint;
}

// Bits of the attributes of a batch (KIP-98, KIP-32).
const LOG_APPEND_TIME = 1 << 3;
const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;
/** The type of a control record that ends a transaction without its messages. */
const ABORT = 0;

/**
 * The messages of a partition from an offset on, without those of transactions that were aborted: the broker only says which these are. An answer
 * begins with the batch that holds the offset, so perhaps before it.
 */
export function recordsFrom(
  topic: string,
  { partitionIndex: partition, records = [], abortedTransactions }: FetchedPartition,
  from: bigint,
): FetchedRecords {
  const messages: KafkaMessage[] = [];
  const aborted = [...abortedTransactions].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  const aborting = new Set<bigint>();
  let nextOffset = from;
  for (const batch of records) {
    const lastOffset = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    while (aborted[0] !== undefined && aborted[0].firstOffset <= lastOffset)
      aborting.add(aborted.shift()?.producerId ?? -1n);
    if (lastOffset >= nextOffset) nextOffset = lastOffset + 1n;
    if ((batch.attributes & CONTROL) !== 0) {
      if (batch.records[0]?.key?.readInt16BE(2) === ABORT) aborting.delete(batch.producerId);
      continue;
    }
    if ((batch.attributes & TRANSACTIONAL) !== 0 && aborting.has(batch.producerId)) continue;
    for (const record of batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      if (offset < from) continue;
      const { key, value, headers } = record;
      messages.push({ topic, partition, offset, timestampMs: timestampOf(batch, record), key, value, headers });
    }
  }
  return { messages, nextOffset };
}

function timestampOf({ attributes, firstTimestamp, maxTimestamp }: RecordsBatch, record: KafkaRecord): number {
  return Number((attributes & LOG_APPEND_TIME) === 0 ? firstTimestamp + record.timestampDelta : maxTimestamp);
}
