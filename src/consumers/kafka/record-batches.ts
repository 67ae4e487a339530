import type { Consumer, KafkaRecord, RecordsBatch } from '@platformatic/kafka';

/** What an answer says of one partition. */
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

/** What one answer says of a partition. */
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
