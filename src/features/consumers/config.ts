import { z } from 'zod';
import { clientCertificate } from '../../authorizations/authorization-config.ts';
import { onlyJobs } from '../../authorizations/authorization-config.ts';
import { streamIngestSchema } from '../ingests/config.ts';
import { milliseconds } from '../../config/values.ts';
import { certificateAuthorities, postgresUrl, table } from '../../config/values.ts';
import { checkVariables, ConfigError } from '../../config/problems.ts';
import { valueInFile, part } from '../../config/file.ts';

/** A PostgreSQL table to which an application writes membership changes (docs/consumers.md). */
export const outboxSchema = z.strictObject({
  url: postgresUrl,
  /** Replaces the one in the URL, and needs no escaping. */
  password: z.string().min(1).optional(),
  certificateAuthorities,
  table: table.default('audience_changes'),
  jobs: onlyJobs,
  /** Whether a row that Temporal has is deleted, or gets its `accepted_at`. */
  accepted: z.enum(['delete', 'mark'], { error: 'This must be "delete" or "mark".' }).default('delete'),
  /** Whether a row that is not a trigger gets its `problem` and stays, or nothing is sent until somebody has fixed it. */
  poisoned: z.enum(['set-aside', 'stop'], { error: 'This must be "set-aside" or "stop".' }).default('set-aside'),
  /** How often, in ms, the table is read without a notification. */
  pollMs: milliseconds(60_000).default(1_000),
  /** Longest wait for a connection, in ms. */
  connectTimeoutMs: milliseconds(60_000).default(5_000),
  /** Longest time for one statement, in ms. */
  statementTimeoutMs: milliseconds(60_000).default(10_000),
});

export type OutboxConfig = Readonly<z.infer<typeof outboxSchema>>;

const BROKER = 'A broker is a host and a port: kafka.example.com:9092.';
const broker = z
  .string({ error: BROKER })
  .regex(/^(?:\[[\da-fA-F:.]+\]|[\w.-]+):\d{1,5}$/, { error: BROKER, abort: true })
  .refine((text) => isPort(Number(text.slice(text.lastIndexOf(':') + 1))), 'A port is a number from 1 to 65535.');

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}

const topic = z
  .string()
  .regex(/^[\w.-]{1,249}$/, 'A topic has letters, digits, ".", "_" and "-", and at most 249 of them.');

const GROUP = 'A group is a name without blanks, by which the brokers remember how far it has read.';

/** Topics of Apache Kafka whose messages tell of changes (docs/consumers.md). */
export const kafkaSchema = z
  .strictObject({
    /** Some of the cluster, `host:port`. These name the others. */
    brokers: z
      .array(broker, { error: 'This must be a list of brokers: ["kafka.example.com:9092"].' })
      .min(1, 'Name at least one broker.'),
    topics: z
      .array(topic, { error: 'This must be a list of topics: ["audience-changes"].' })
      .min(1, 'Name at least one topic.'),
    /** Consumers of one group share the partitions, and the group remembers how far each of them is read. */
    group: z.string({ error: GROUP }).regex(/^\S{1,249}$/, GROUP),
    jobs: onlyJobs,
    /** How messages are read: by a preset or expressions. Default: JSON triggers, one or a list in each message. */
    ingest: streamIngestSchema.optional(),
    /** Where a group without commits begins. */
    from: z.enum(['latest', 'earliest'], { error: 'This must be "latest" or "earliest".' }).default('latest'),
    /** Whether a message that is not a trigger stops its partition, or goes to another topic. */
    poisoned: z
      .union([z.literal('stop'), z.strictObject({ deadLetterTopic: topic })], {
        error: 'This must be "stop", or {"deadLetterTopic": "…"}.',
      })
      .default('stop'),
    tls: z
      .union(
        [z.boolean(), z.strictObject({ certificateAuthorities, clientCertificate: clientCertificate.optional() })],
        {
          error: 'This must be true, or have "certificateAuthorities", "clientCertificate" or both.',
        },
      )
      .default(false),
    sasl: z
      .strictObject({
        mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512'], {
          error: 'A mechanism is "plain", "scram-sha-256" or "scram-sha-512".',
        }),
        username: z.string().min(1, 'A user name must not be empty.'),
        password: z.string().min(1, 'A password must not be empty.'),
      })
      .optional(),
    /** Longest wait for a connection, in ms. */
    connectTimeoutMs: milliseconds(60_000).default(5_000),
    /** After how many ms without a heartbeat the group assigns a consumer's partitions to others. */
    sessionTimeoutMs: milliseconds(300_000, 1_000).default(30_000),
  })
  .superRefine(({ topics, poisoned }, context) => {
    if (new Set(topics).size < topics.length)
      context.addIssue({ code: 'custom', path: ['topics'], message: 'A topic is named twice.' });
    if (poisoned !== 'stop' && topics.includes(poisoned.deadLetterTopic))
      context.addIssue({
        code: 'custom',
        path: ['poisoned', 'deadLetterTopic'],
        message: 'It must not be one of "topics": what is put there would be read again.',
      });
  });

export type KafkaConfig = Readonly<z.infer<typeof kafkaSchema>>;

/**
 * Reads only the outbox, for the program that consumes it and sends nothing.
 *
 * @throws ConfigError, also when there is none
 */
export function configuredOutbox(env: NodeJS.ProcessEnv = process.env): OutboxConfig {
  return configuredStream('outbox', outboxSchema, 'No outbox is configured', 'the "url" of its database', env);
}

/**
 * Reads only the topics, for the program that consumes them and sends nothing.
 *
 * @throws ConfigError, also when there are none
 */
export function configuredKafka(env: NodeJS.ProcessEnv = process.env): KafkaConfig {
  return configuredStream('kafka', kafkaSchema, 'No Kafka is configured', '"brokers", "topics" and a "group"', env);
}

function configuredStream<T>(
  key: 'outbox' | 'kafka',
  schema: z.ZodType<T>,
  none: string,
  needed: string,
  env: NodeJS.ProcessEnv,
): T {
  checkVariables(env);
  const fromFile = valueInFile(key, env);
  if (fromFile.value === undefined)
    throw new ConfigError(`${none} in ${fromFile.path}. Give "${key}" ${needed} (docs/consumers.md).`);
  return part(key, schema, fromFile);
}
