import { generateKeyPairSync } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { ProtocolError } from '@platformatic/kafka';
import { kafkaSchema } from '../../../src/features/consumers/config.ts';
import { problemsOf } from '../../../src/config/problems.ts';
import { clientOptions, KafkaError } from '../../../src/features/consumers/kafka-client.ts';
import { Membership } from '../../../src/features/consumers/kafka-membership.ts';
import {
  atOf,
  type FetchedPartition,
  type KafkaMessage,
  MessageReader,
  recordsFrom,
} from '../../../src/features/consumers/kafka-message-reader.ts';
import { ingestOf } from '../../../src/features/ingests/ingest.ts';
import { freePort } from '../../../src/network/free-ports.ts';
import { TLS_TERMS } from '../../../src/network/tls.ts';
import { Said } from './a-consumer.ts';

const LEAST = { brokers: ['b1.example:9093', '[::1]:9092'], topics: ['changes'], group: 'g' };

describe('the configuration', () => {
  test('has defaults that lose nothing', () => {
    expect(kafkaSchema.parse(LEAST)).toEqual({
      ...LEAST,
      from: 'latest',
      poisoned: 'stop',
      tls: false,
      connectTimeoutMs: 5_000,
      sessionTimeoutMs: 30_000,
    });
  });

  test('names all that is wrong at once, with the setting that was meant, and no secret', () => {
    const wrong = {
      brokers: ['b1.example'],
      topics: ['a b'],
      grup: 'g',
      poisoned: { deadletterTopic: 'x' },
      sasl: { mechanism: 'md5', username: 'u', pasword: 'the-secret' },
      tls: { certificateAuthority: [] },
      ingest: { preset: 'segment', expressions: { user: '(', event: 'e' } },
    };
    const { error } = kafkaSchema.safeParse(wrong);
    const text = error === undefined ? '' : problemsOf(error, kafkaSchema);
    for (const part of [
      'Did you mean "group"?',
      'Did you mean "password"?',
      'This must be "stop", or {"deadLetterTopic": "…"}.',
      'Did you mean "certificateAuthorities"?',
      'A broker is a host and a port',
      'A topic has letters',
      'A mechanism is',
      'This is not JSONata: something is wrong at character 1.',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('the-secret');
  });

  test.each([
    [{ poisoned: { deadLetterTopic: 'changes' } }, 'what is put there would be read again'],
    [{ topics: ['a', 'a'] }, 'A topic is named twice.'],
    [{ brokers: ['b:0'] }, 'A port is a number from 1 to 65535.'],
    [{ brokers: 'b:9092' }, 'This must be a list of brokers'],
    [{ topics: undefined }, 'This must be a list of topics'],
    [{ group: 'a group' }, 'A group is a name without blanks'],
    [{ brokers: [] }, 'Name at least one broker.'],
    [{ topics: [] }, 'Name at least one topic.'],
    [{ jobs: [] }, 'Leave "jobs" out to mean all of them.'],
    [{ jobs: ['My job'] }, 'A job is named by its id'],
    [{ from: 'beginning' }, 'This must be "latest" or "earliest".'],
    [{ tls: 'yes' }, 'This must be true, or have "certificateAuthorities", "clientCertificate" or both.'],
    [{ sasl: { mechanism: 'plain', username: '', password: 'p' } }, 'A user name must not be empty.'],
    [{ sessionTimeoutMs: 500 }, 'This must be in milliseconds, from 1000 to 300000'],
    [{ ingest: {} }, 'It needs either a "preset" or "expressions".'],
    [{ ingest: { expressions: { user: 'u', event: 'e' } } }, '"audience" beside "expressions" must say it'],
    [{ tls: { clientCertificate: { certificate: 'c', key: 'k' } } }, 'do not belong together'],
  ])('refuses what cannot be meant: %j', (more, words) => {
    const { error } = kafkaSchema.safeParse({ ...LEAST, ...more });
    expect(error && problemsOf(error, kafkaSchema)).toContain(words);
  });
});

describe('the connection', () => {
  test('the connection has neither TLS nor a user unless configured, and is tried once', () => {
    expect(clientOptions(kafkaSchema.parse(LEAST), 10_000)).toEqual({
      clientId: 'audience-triggers',
      bootstrapBrokers: [
        { host: 'b1.example', port: 9093 },
        { host: '::1', port: 9092 },
      ],
      connectTimeout: 5_000,
      requestTimeout: 10_000,
      retries: 0,
    });
  });

  test.each([
    ['plain', 'PLAIN'],
    ['scram-sha-256', 'SCRAM-SHA-256'],
    ['scram-sha-512', 'SCRAM-SHA-512'],
  ])('the connection authenticates by %s', (mechanism, named) => {
    const sasl = { mechanism, username: 'u', password: 'p' };
    expect(clientOptions(kafkaSchema.parse({ ...LEAST, sasl }), 1).sasl).toEqual({ ...sasl, mechanism: named });
  });

  test('the connection verifies certificates like all connections, whatever else is configured for TLS', () => {
    const options = clientOptions(kafkaSchema.parse({ ...LEAST, tls: true }), 1);
    expect(options).toMatchObject({ tls: TLS_TERMS, tlsServerName: false });
    const named = kafkaSchema.parse({ ...LEAST, brokers: ['b1.example:9093'], tls: true });
    expect(clientOptions(named, 1)).toMatchObject({ tlsServerName: true });
    expect(options.tls).not.toHaveProperty('rejectUnauthorized');
  });

  test('a failed connection leaves no abort listener behind, since it may be tried for days', async () => {
    const config = kafkaSchema.parse({ ...LEAST, brokers: [`127.0.0.1:${await freePort()}`] });
    const nobody = async (): Promise<never> => await Promise.reject(new Error('Nobody is told.'));
    const membership = new Membership({
      config,
      world: {
        reader: new MessageReader(undefined),
        handover: { give: nobody, nameOf: nobody },
        onPoison: () => undefined,
        onNothing: () => undefined,
      },
      beginsAt: () => undefined,
      onRead: () => undefined,
      log: new Said(),
      leftBehind: undefined,
    });
    const { signal } = new AbortController();
    await expect(membership.run(signal)).rejects.toThrow('Cannot connect to any broker');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('the connection shows its own certificate, and trusts the configured authorities besides those of Node', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const config = kafkaSchema.parse({ ...LEAST, tls: {} });
    const tls = { certificateAuthorities: ['ours'], clientCertificate: { certificate: 'c', key, passphrase: 'p' } };
    const options = clientOptions({ ...config, tls }, 1);
    expect(options.tls).toMatchObject({ ca: expect.arrayContaining(['ours']), cert: 'c', key, passphrase: 'p' });
  });
});

describe('an error', () => {
  const of = (code: string): KafkaError =>
    new KafkaError(['b:1'], new AggregateError([new ProtocolError(code)], 'Failed.'));

  test('an error has the words of the broker, what to do, and whether only a change helps', () => {
    const { message, code, isLasting } = of('GROUP_AUTHORIZATION_FAILED');
    expect([code, isLasting]).toEqual(['GROUP_AUTHORIZATION_FAILED', true]);
    expect(message).toMatch(/^Kafka \(b:1\) cannot be read \(GROUP_AUTHORIZATION_FAILED: .+\)\. Its user needs READ/);
  });

  test.each([
    ['MESSAGE_TOO_LARGE', 'Raise "max.message.bytes" of the dead-letter topic'],
    ['INVALID_RECORD', 'it must not be compacted'],
  ])('the error %s says what to do about the dead-letter topic', (code, words) => {
    expect([of(code).message, of(code).isLasting]).toEqual([expect.stringContaining(words), true]);
  });

  test('an error that passes by itself is not lasting', () => {
    expect(of('COORDINATOR_NOT_AVAILABLE').isLasting).toBe(false);
    expect(new KafkaError(['b:1'], Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })).isLasting).toBe(
      false,
    );
  });
});

const record = (offsetDelta: number, key: Buffer | null = null) => ({
  length: 0,
  attributes: 0,
  timestampDelta: BigInt(offsetDelta),
  offsetDelta,
  key,
  value: Buffer.from('{}'),
  headers: [],
});

const batch = (firstOffset: number, records: ReturnType<typeof record>[], more: object = {}) => ({
  firstOffset: BigInt(firstOffset),
  length: 0,
  partitionLeaderEpoch: 0,
  magic: 2,
  crc: 0,
  attributes: 0,
  lastOffsetDelta: records.at(-1)?.offsetDelta ?? 0,
  firstTimestamp: 1_000n,
  maxTimestamp: 9_000n,
  producerId: -1n,
  producerEpoch: 0,
  firstSequence: 0,
  records,
  ...more,
});

const partition = (records: FetchedPartition['records'], aborted: [number, number][] = []): FetchedPartition => ({
  partitionIndex: 3,
  ...(records === undefined ? {} : { records }),
  abortedTransactions: aborted.map(([producerId, firstOffset]) => ({
    producerId: BigInt(producerId),
    firstOffset: BigInt(firstOffset),
  })),
});

describe('the messages of an answer', () => {
  const offsets = (found: FetchedPartition, from = 0n) => {
    const { messages, nextOffset } = recordsFrom('t', found, from);
    return [messages.map(({ offset }) => Number(offset)), Number(nextOffset)];
  };

  test('begin at the offset that was asked for, also in the middle of a batch', () => {
    expect(offsets(partition([batch(10, [record(0), record(1), record(2)])]), 11n)).toEqual([[11, 12], 13]);
  });

  test('may have gaps, which are read with them', () => {
    expect(offsets(partition([batch(0, [record(0), record(4)], { lastOffsetDelta: 9 })]))).toEqual([[0, 4], 10]);
  });

  test('have the times of their producers, or of the broker where the topic has those', () => {
    const times = (attributes: number) =>
      recordsFrom('t', partition([batch(0, [record(5)], { attributes })]), 0n).messages.map((one) => one.timestampMs);
    expect([times(0), times(8)]).toEqual([[1_005], [9_000]]);
  });

  test('are without those of aborted transactions, wherever the end of such a one is', () => {
    const transactional = { attributes: 16 };
    const marker = (offset: number, producerId: bigint, type: number) =>
      batch(offset, [record(0, Buffer.from([0, 0, 0, type]))], { attributes: 48, producerId });
    const records = [
      batch(0, [record(0)], { ...transactional, producerId: 7n }),
      batch(1, [record(0)], { ...transactional, producerId: 8n }),
      marker(2, 7n, 0),
      batch(3, [record(0)], { ...transactional, producerId: 7n }),
      marker(4, 7n, 1),
      // Its end is in a later answer.
      batch(5, [record(0)], { ...transactional, producerId: 7n }),
      batch(6, [record(0)]),
    ];
    const aborted: [number, number][] = [
      [7, 5],
      [7, 0],
    ];
    expect(offsets(partition(records, aborted))).toEqual([[1, 3, 6], 7]);
  });
});

const message = (value: Buffer | null, more: Partial<KafkaMessage> = {}): KafkaMessage => ({
  topic: 't',
  partition: 0,
  offset: 5n,
  timestampMs: Date.parse('2026-11-27T08:00:00.123Z'),
  key: null,
  value,
  headers: [],
  ...more,
});

describe('the time of a trigger without one', () => {
  test('is the same whenever its message is read, and differs for each message of a millisecond', () => {
    const at = (offset: bigint, index = 0, count = 1) => atOf(message(null, { offset }), index, count);
    expect(at(5n)).toBe('2026-11-27T08:00:00.123000005+00:00');
    expect(at(1_234_567n)).toBe('2026-11-27T08:00:00.123234567+00:00');
    expect(at(1_234_567n, 2, 3)).toBe('2026-11-27T08:00:00.123567002+00:00');
    expect(at(5n)).toBe(at(5n));
  });
});

describe('messages', () => {
  const read = async (value: string | Buffer | null, more: Partial<KafkaMessage> = {}) => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return await new MessageReader(undefined).read(message(bytes, more), async ([name]) => await Promise.resolve(name));
  };
  const TRIGGER = '{"audience":"vip","user":"u","event":"enter"}';

  test.each<[string, string | Buffer | null, string]>([
    ['no JSON', '{"user":', 'it is not JSON: something is wrong in line 1, at character 9'],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'it is not UTF-8'],
    ['too deep', '['.repeat(251), 'it has more than 250 levels'],
    ['too much', `[${'1,'.repeat(250_000)}1]`, 'it has more than 250000 values'],
    ['a key twice', '{"user":"u","user":"v"}', 'an object in it has a key twice'],
    ['an empty value', '', 'it is empty'],
    ['a misspelt key', '{"audience":"vip","user":"u","event":"enter","profil":{}}', 'profil'],
    ['one bad of three', `[${TRIGGER},{"user":"u"},${TRIGGER}]`, 'number 2 of 3: '],
  ])('a message is poison when it is %s, and the reason tells nothing of it', async (_, value, reason) => {
    expect(await read(value)).toMatchObject({ kind: 'poison', reason: expect.stringContaining(reason) });
  });

  test.each([[null], ['[]']])('a message may tell of no change: %s', async (value) => {
    expect(await read(value)).toEqual({ kind: 'nothing' });
  });

  test('a message needs a time, its own or that of its record', async () => {
    expect(await read(TRIGGER, { timestampMs: -1 })).toEqual({
      kind: 'poison',
      reason: 'it says no "at", and its message has no time',
    });
    const own = TRIGGER.replace('}', ',"at":"2026-11-27T08:00:00Z"}');
    expect(await read(own, { timestampMs: -1 })).toMatchObject({ kind: 'triggers' });
  });

  test('an ingest takes a message whole, or not at all', async () => {
    const { ingest } = kafkaSchema.parse({
      ...LEAST,
      ingest: { expressions: { each: 'people', user: 'id', audience: '"vip"', event: 'is' } },
    });
    const reader = new MessageReader(ingest && ingestOf('kafka', ingest));
    const said = async (people: object[]) =>
      await reader.read(
        message(Buffer.from(JSON.stringify({ people }))),
        async ([name]) => await Promise.resolve(name),
      );
    expect(
      await said([
        { id: 'a', is: true },
        { id: 'b', is: false },
      ]),
    ).toMatchObject({
      kind: 'triggers',
      triggers: [{ trigger: { user: 'a', event: 'enter' } }, { trigger: { user: 'b', event: 'exit' } }],
    });
    expect(await said([{ id: 'a', is: true }, { is: true }])).toMatchObject({ kind: 'poison' });
    expect(await said([])).toEqual({ kind: 'nothing' });
    await reader.close();
  });
});
