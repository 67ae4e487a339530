import { z } from 'zod';
import { isRecord } from '../domain/json.ts';
import { hasNoUserInfo, requestHeaders } from './authorization-config.ts';
import { type Given, withGiven } from './environment.ts';

/** Traces of deliveries, for an OpenTelemetry collector. Absent: none are made, and the code for it is not even loaded. */
export const tracingSchema = z
  .strictObject({
    /** Where they are sent: OTLP over HTTP, as JSON. Whoever receives them can read job ids, events and the hosts of endpoints. */
    endpoint: z
      .url({
        protocol: /^https?$/,
        error:
          'Say where traces go, here or in OTEL_EXPORTER_OTLP_ENDPOINT: https://collector.example.com:4318/v1/traces.',
        abort: true,
      })
      .refine(hasNoUserInfo, { error: 'The URL must not contain credentials. Give "headers" instead.' }),
    /** Sent with every request to it. */
    headers: requestHeaders.default({}),
    /** The share of triggers that are traced. */
    sampleRatio: z.number().min(0).max(1).default(1),
    /** Whether requests to endpoints have the header `traceparent` (W3C Trace Context). */
    sendTraceparent: z.boolean().default(false),
  })
  .optional();

/** An endpoint alone turns traces on; a ratio only changes how many are made if the file configures them. */
export function tracingOf({ tracing }: Record<string, unknown>, given: Given): object {
  const base = given('OTEL_EXPORTER_OTLP_ENDPOINT');
  // According to the OpenTelemetry specification, the variable for traces is the whole URL, and the general one is its base.
  const endpoint =
    given('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? (base && `${base.endsWith('/') ? base : `${base}/`}v1/traces`);
  const ratio = given('TRIGGERS_TRACING_SAMPLE_RATIO');
  if (endpoint === undefined && !isRecord(tracing)) return {};
  return { tracing: withGiven(tracing, { endpoint, sampleRatio: ratio && Number(ratio) }) };
}
