import { z } from 'zod';
import { IS_MANGLED, MANGLED } from '../contract/request-shape.ts';
import { isRecord } from '../domain/json.ts';
import { hasNoUserInfo, requestHeaders } from './authorization-config.ts';
import { type Env, numberIn, withOverrides } from './problems.ts';

/** Alerts to operators, and where they go. */
export const alertsSchema = z
  .strictObject({
    /** A webhook of the operators' own, reached under the same rules as any other. Without it, alerts only appear in the log. */
    url: z
      .string()
      // Before it is parsed, since parsing removes some of these.
      .refine((url) => !MANGLED.test(url), { error: `The URL ${IS_MANGLED}`, abort: true })
      .pipe(
        z.url({ protocol: /^https?$/, error: 'An alert URL looks like https://alerts.example.com/hook.', abort: true }),
      )
      .refine(hasNoUserInfo, {
        error: 'The URL must not contain credentials. Name one of "authorizations" instead, as "authorization".',
      })
      .optional(),
    /** The name of one of `authorizations`; null when the webhook needs none. */
    authorization: z.string().min(1).nullable().default(null),
    /** Triggers that have waited longer than this cause an alert. */
    backlogMinutes: z
      .number()
      .min(1)
      .max(7 * 24 * 60)
      .default(15),
  })
  .prefault({});

/** Metrics for Prometheus. Absent: none are kept, and no port is opened. */
export const metricsSchema = z
  .strictObject({
    /** They are served at `/metrics` on this port; 0: on a free one, which the worker prints. */
    port: z.number().int().min(0).max(65_535),
    /** Anybody who can reach it can read job ids and numbers. */
    host: z.string().min(1).default('127.0.0.1'),
    /** Most jobs that are queried for their own metrics, every 30 s while metrics are being scraped; 0: none. */
    jobs: z.number().int().min(0).max(1000).default(100),
  })
  .optional();

/** A port alone turns metrics on; a host only changes where the metrics that the file configures are served. */
export function metricsOf({ metrics }: Record<string, unknown>, env: Env): object {
  const port = env('TRIGGERS_METRICS_PORT');
  if (port === undefined && !isRecord(metrics)) return {};
  return { metrics: withOverrides(metrics, { port: port && numberIn(port), host: env('TRIGGERS_METRICS_HOST') }) };
}

const SHARE = { error: 'This must be a share between 0 and 1: 0.1 for a tenth.' };

/** @param error what to say when it is none. */
export function collectorUrl(error: string) {
  return z
    .url({ protocol: /^https?$/, error, abort: true })
    .refine(hasNoUserInfo, { error: 'The URL must not contain credentials. Give "headers" instead.' });
}

/** Traces of deliveries, for an OpenTelemetry collector. Absent: none are made, and the code for it is not even loaded. */
export const tracingSchema = z
  .strictObject({
    /** Where they are sent: OTLP over HTTP, as JSON. Their receiver can read job ids, events and the hosts of endpoints. */
    endpoint: collectorUrl(
      'Say where traces go, here or in OTEL_EXPORTER_OTLP_ENDPOINT: https://collector.example.com:4318/v1/traces.',
    ),
    /** Sent with every request to it. */
    headers: requestHeaders.default({}),
    /** The share of triggers that are traced. */
    sampleRatio: z.number(SHARE).min(0, SHARE).max(1, SHARE).default(1),
    /** Whether requests to endpoints have the header `traceparent` (W3C Trace Context). */
    sendTraceparent: z.boolean().default(false),
  })
  .optional();

/** An endpoint alone turns traces on; a ratio only changes how many are made if the file configures them. */
export function tracingOf({ tracing }: Record<string, unknown>, env: Env): object {
  const base = env('OTEL_EXPORTER_OTLP_ENDPOINT');
  // According to the OpenTelemetry specification, the variable for traces is the whole URL, and the general one is its base.
  const endpoint =
    env('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? (base && `${base.endsWith('/') ? base : `${base}/`}v1/traces`);
  const ratio = env('TRIGGERS_TRACING_SAMPLE_RATIO');
  if (endpoint === undefined && !isRecord(tracing)) return {};
  return { tracing: withOverrides(tracing, { endpoint, sampleRatio: ratio && numberIn(ratio) }) };
}

const NAME =
  'A deployment name must consist of letters, digits, dashes and underscores, at most 100, such as audience-triggers.';
const BUILD_ID =
  'A build id must consist of letters, digits, dots, dashes, underscores and plus signs, at most 100, such as 1.4.2.';

/** The deployment and build that this worker belongs to, for Temporal's worker versioning. Absent: the worker is unversioned. */
export const deploymentSchema = z
  .strictObject({
    /** The name that all builds of these workers share. */
    name: z.string().regex(/^[A-Za-z0-9][\w-]{0,99}$/, NAME),
    /** Distinguishes this build from others; workers of the same build replay each other's runs. Default: the release and a checksum of its workflow code. */
    buildId: z
      .string()
      .regex(/^[A-Za-z0-9][\w.+-]{0,99}$/, BUILD_ID)
      .optional(),
  })
  .optional();

/** The deployment in the file, overridden by the environment. A build id without a name is left for the schema to reject. */
export function deploymentOf({ deployment }: Record<string, unknown>, env: Env): object {
  const name = env('TRIGGERS_DEPLOYMENT_NAME');
  const buildId = env('TRIGGERS_BUILD_ID');
  if (name === undefined && buildId === undefined) return {};
  return { deployment: withOverrides(deployment, { name, buildId }) };
}

// The common part of the configurations of sources that are services. No message in this file may repeat a value, since some are secrets.

/** A whole header value. */
export const serviceToken = z
  .string()
  .min(1, 'A token must not be empty.')
  .max(8192)
  .regex(/^[\x21-\x7e]+$/, 'A token must be one word of plain characters.');

/** Naming its origin here allows requests to it, even over http and at a private address. */
export const serviceUrl = z
  .url({ protocol: /^https?$/, error: 'A URL must look like https://people.example.com.', abort: true })
  .refine(
    (text) => {
      const { username, password, search, hash } = new URL(text);
      return username === '' && password === '' && search === '' && hash === '';
    },
    {
      error:
        'The URL must have no user name, password, query or fragment: https://people.example.com, optionally with a path.',
    },
  );

/** The shortest time that a setting in ms can mean; anything shorter was meant in seconds. */
const LEAST_MS = 100;

/** A time in ms. */
export function milliseconds(most: number, least = LEAST_MS): z.ZodNumber {
  const error = `This must be in milliseconds, from ${least} to ${most}: 10 seconds are 10000.`;
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
}

/** A time in ms, or 0. */
export function millisecondsOrNone(most: number): z.ZodNumber {
  const error = `This must be in milliseconds, 0 or from ${LEAST_MS} to ${most}: 60 seconds are 60000.`;
  const isTime = (time: number): boolean => time === 0 || time >= LEAST_MS;
  const number = z.number({ error }).int({ error }).max(most, { error }).refine(isTime, { error });
  // The same as JSON Schema, for the values of the Helm chart.
  return number.meta({ anyOf: [{ const: 0 }, { minimum: LEAST_MS }] });
}

/** Longest time, in ms, for a request to a service: less than the timeout of the activity that makes it. */
export const timeoutMs = milliseconds(15_000).default(10_000);

/** How late, in ms, a source may show that somebody has left. */
export const lagMs = millisecondsOrNone(86_400_000);

/** How old, in ms, a profile may be before it is fetched again. */
export const maxProfileAgeMs = millisecondsOrNone(3_600_000);

/** Whether requests go through `network.proxy`, if there is one. */
export const throughProxy = z.boolean().default(true);
