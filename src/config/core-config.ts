import { z } from 'zod';
import { DEFAULT_SERVER_LIMITS } from '../domain/limits.ts';
import { DEFAULT_TASK_QUEUE } from '../domain/names.ts';
import { readPayloadKeys } from '../temporal/encrypting-codec.ts';
import { authorizationSchema } from '../authorizations/authorization-config.ts';
import { isNetwork, portsIn } from '../network/network-policy.ts';
import { areCertificates } from '../network/tls.ts';
import { alertsSchema } from './alerts-config.ts';
import { apiKeysSchema } from './api-keys.ts';
import { deploymentSchema } from './deployment-config.ts';
import { milliseconds } from './values.ts';

/** The names of all settings, also of those that features have: a file that is read in part must not hold a misspelt one. */
export const SETTINGS = [
  'taskQueue',
  'source',
  'authorizations',
  'payloadKeys',
  'apiKeys',
  'ingests',
  'outbox',
  'kafka',
  'alerts',
  'requestTimeoutMs',
  'maxConcurrentSlices',
  'network',
  'serverLimits',
  'watch',
  'metrics',
  'tracing',
  'deliveryLog',
  'deployment',
  'logLevel',
] as const;

const payloadKeys = z
  .array(z.string())
  .superRefine((keys, context) => {
    try {
      readPayloadKeys(keys);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
  })
  .default([]);

/** Blanks around it would make it another queue without jobs, which looks the same wherever it is shown. */
const taskQueue = z
  .string()
  .min(1)
  .refine((name) => name === name.trim(), { error: 'The name of a task queue has no blanks at its ends.' })
  .default(DEFAULT_TASK_QUEUE);

const PROXY = 'A proxy must look like http://proxy.example.com:3128.';

/** Its path, query and fragment would be ignored; a user name that cannot be decoded would fail every request. */
function isProxy(text: string): boolean {
  const { username, password, pathname, search, hash } = new URL(text);
  try {
    decodeURIComponent(username + password);
  } catch {
    return false;
  }
  return pathname === '/' && search === '' && hash === '';
}

/** The settings that belong to no feature, each on its own. */
export const coreSettings = {
  taskQueue,
  authorizations: z.record(z.string().min(1).max(100), authorizationSchema).default({}),
  /** `<key id>:<base64 of 32 bytes>`: the first one encrypts payloads, all of them decrypt. None: nothing is encrypted. */
  payloadKeys,
  apiKeys: apiKeysSchema,
  /** Where alerts about changes in a job's state go, in addition to the log. */
  alerts: alertsSchema,
  /** Longest time for one request, from connecting to the end of the answer, in ms. */
  requestTimeoutMs: milliseconds(60_000).default(15_000),
  /**
   * Most `deliver` activities that this worker runs at once. One that waits for an endpoint costs little more than its slot. There are many slots,
   * so that a few jobs whose endpoints hang do not make others wait.
   */
  maxConcurrentSlices: z.number().int().min(1).default(1000),
  /** Where requests may go. By default: by https, to public addresses. */
  network: z
    .strictObject({
      /** Also allow plain `http:`. */
      allowHttp: z.boolean().default(false),
      /** Networks that may be reached although they are not public: `10.0.0.0/8`, `fd00::/8`. */
      allowAddresses: z
        .array(
          z
            .string()
            .refine(isNetwork, { error: 'A network must be an address, optionally with a prefix length: 10.0.0.0/8.' }),
        )
        .default([]),
      /** Ports and ranges of ports. */
      allowPorts: z
        .array(
          z.string().refine((text) => portsIn(text) !== undefined, {
            error: 'A port is a number up to 65535, or a range of them: 1024-65535.',
          }),
        )
        .default(['443', '80', '1024-65535']),
      /** An HTTP proxy that requests go through (CONNECT). */
      proxy: z
        .url({ protocol: /^https?$/, error: PROXY, abort: true })
        .refine(isProxy, {
          error: `${PROXY} It may have a user name and a password, with % and @ in them encoded, and nothing else.`,
        })
        .optional(),
      /** Authorities that are trusted in addition to Node's: PEM, one or more certificates in each. */
      certificateAuthorities: z
        .array(
          z.string().refine(areCertificates, {
            error: 'A certificate authority must be one or more certificates as PEM: -----BEGIN CERTIFICATE----- …',
          }),
        )
        .default([]),
    })
    .prefault({}),
  /** The Temporal server's limits, if they differ from its defaults. Every limit of a job is a share of these. */
  serverLimits: z
    .strictObject({
      payloadBytes: z
        .number()
        .int()
        .min(16 * 1024)
        .default(DEFAULT_SERVER_LIMITS.payloadBytes),
      signalsPerRun: z.number().int().min(10).default(DEFAULT_SERVER_LIMITS.signalsPerRun),
      eventsPerRun: z.number().int().min(100).default(DEFAULT_SERVER_LIMITS.eventsPerRun),
    })
    .prefault({}),
  /** For upgrades while jobs are running (docs/operating.md): the version by which Temporal knows this worker. */
  deployment: deploymentSchema,
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
};

export type CoreConfig = Readonly<z.infer<z.ZodObject<typeof coreSettings>>>;
