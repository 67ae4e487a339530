import { z } from 'zod';
import { collectorUrl } from '../../config/values.ts';
import { requestHeaders } from '../../authorizations/authorization-config.ts';
import { type Env, withOverrides, numberIn } from '../../config/problems.ts';
import { isRecord } from '../../domain/json.ts';

const SHARE = { error: 'This must be a share between 0 and 1: 0.1 for a tenth.' };

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

export type TracingConfig = NonNullable<z.infer<typeof tracingSchema>>;

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
