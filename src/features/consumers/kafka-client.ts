import { isIP } from 'node:net';
import type { BaseOptions, Consumer, SASLOptions } from '@platformatic/kafka';
import { definedOf } from '../../domain/json.ts';
import type { KafkaConfig } from './config.ts';
import { codeOf } from '../../domain/errors.ts';
import { TLS_TERMS, trustedAuthorities } from '../../network/tls.ts';

/** Kafka did not do what a consumer needs. The error's text holds nothing of a topic's messages, and no password. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError';
  /** Kafka's own name of the error, or the code of the network or of TLS; empty when there is none. */
  readonly code: string;
  /** Only another configuration, topic or grant helps. */
  readonly isLasting: boolean;

  constructor(brokers: readonly string[], error: unknown, what = 'cannot be read') {
    const { code, words } = rootOf(error);
    const [, advice, isLasting = false] = ADVICE.find(([pattern]) => pattern.test(code)) ?? [];
    super(`Kafka (${brokers.join(', ')}) ${what} (${words}).${advice === undefined ? '' : ` ${advice}`}`);
    this.code = code;
    this.isLasting = isLasting;
  }
}

/** Advice when a broker sends no answer, or closes the connection: it does that if it does not understand the client. */
const IS_IT_TLS = 'Look whether the port speaks TLS, and whether "kafka.tls" says so.';

const ADVICE: readonly (readonly [pattern: RegExp, advice: string, isLasting?: boolean])[] = [
  [
    /^(?:PLT_KFK_AUTHENTICATION|.*SASL.*)$/,
    'Correct "kafka.sasl": its mechanism, user name and password, and whether it and "tls" are wanted.',
    true,
  ],
  [
    /_AUTHORIZATION_FAILED$/,
    'Its user needs READ on the topics and the group, and WRITE on a dead-letter topic.',
    true,
  ],
  [/^(?:UNKNOWN_TOPIC_OR_PARTITION|INVALID_TOPIC_EXCEPTION)$/, 'Make the topic, or correct "kafka".', true],
  [
    /^PLT_KFK_UNSUPPORTED_COMPRESSION$|^PLT_KFK_UNSUPPORTED$/,
    'It needs Node 22.15 or newer; or have the topic packed by another algorithm.',
  ],
  [/^INVALID_SESSION_TIMEOUT$/, 'Correct "kafka.sessionTimeoutMs": the brokers allow less, or more.', true],
  [
    /^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE)$/,
    'Raise "max.message.bytes" of the dead-letter topic above that of "kafka.topics": its messages get headers.',
    true,
  ],
  [/^INVALID_RECORD$/, 'The dead-letter topic must take messages without a key: it must not be compacted.', true],
  [/^(?:PLT_KFK_NETWORK|ECONNRESET)$/, `If that does not pass: ${IS_IT_TLS}`],
  [/WRONG_VERSION_NUMBER/, IS_IT_TLS, true],
  [
    /CERT|SIGNATURE|ALTNAME|^ERR_TLS|^ERR_SSL|^EPROTO/,
    'The certificate is verified: name its authority in "kafka.tls", and write the brokers as in the certificate.',
    true,
  ],
];

/** How a client of these brokers connects. It retries nothing by itself: its user knows what may be retried. */
export function clientOptions(config: KafkaConfig, requestTimeoutMs: number): BaseOptions {
  const { connectTimeoutMs, sasl, tls } = config;
  const brokers = config.brokers.map(addressOf);
  // An IP address must not be sent as a server's name (RFC 6066).
  const tlsServerName = brokers.every(({ host }) => isIP(host) === 0);
  return {
    clientId: 'audience-triggers',
    bootstrapBrokers: brokers,
    connectTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    retries: 0,
    ...(sasl === undefined ? {} : { sasl: saslOf(sasl) }),
    ...(tls === false ? {} : { tls: tlsOf(tls), tlsServerName }),
  };
}

function addressOf(broker: string): { host: string; port: number } {
  const colon = broker.lastIndexOf(':');
  return { host: broker.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(broker.slice(colon + 1)) };
}

const MECHANISMS = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
} as const;

function saslOf({ mechanism, username, password }: NonNullable<KafkaConfig['sasl']>): SASLOptions {
  return { mechanism: MECHANISMS[mechanism], username, password };
}

function tlsOf(tls: Exclude<KafkaConfig['tls'], false>): NonNullable<BaseOptions['tls']> {
  if (tls === true) return TLS_TERMS;
  const ca = trustedAuthorities(tls.certificateAuthorities);
  const { certificate, key, passphrase } = tls.clientCertificate ?? {};
  return {
    ...TLS_TERMS,
    ...definedOf({ ca, cert: certificate, key, passphrase }),
  };
}

/** Ends a client, and leaves the group if it is a member. */
export async function closeClient(client: Consumer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.close(true, (error) => (error instanceof Error ? reject(error) : resolve()));
  });
}

/** Whether the client says that its membership of the group is over, so that it has to join again. */
export function needsRejoin(error: unknown): boolean {
  return errorsIn(error).some((one) => 'needsRejoin' in one && one.needsRejoin === true);
}

/** Returns the first cause of an error: clients wrap what brokers and sockets say. */
function rootOf(error: unknown): { readonly code: string; readonly words: string } {
  const all = errorsIn(error);
  const ofKafka = all.find((one) => 'apiId' in one && typeof one.apiId === 'string');
  if (ofKafka !== undefined) {
    const code = String(Object.getOwnPropertyDescriptor(ofKafka, 'apiId')?.value);
    return { code, words: `${code}: ${ofKafka.message}` };
  }
  const coded = all.findLast((one) => codeOf(one) !== undefined && codeOf(one) !== 'PLT_KFK_MULTIPLE');
  const found = coded ?? all.at(-1);
  return { code: (coded && codeOf(coded)) ?? '', words: found?.message || String(error) };
}

/** An error, those it was made of, and their causes, from the outside in. */
function errorsIn(error: unknown): { readonly message: string }[] {
  if (!isErrorLike(error)) return [];
  const inner: readonly unknown[] = 'errors' in error && Array.isArray(error.errors) ? error.errors : [];
  return [error, ...[...inner, 'cause' in error ? error.cause : undefined].flatMap(errorsIn)];
}

function isErrorLike(value: unknown): value is { readonly message: string } {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string';
}
