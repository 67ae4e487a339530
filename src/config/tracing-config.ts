import { z } from 'zod';
import { isRecord } from '../domain/json.ts';
import { hasNoUserInfo, requestHeaders } from './authorization-config.ts';
import { type Given, withGiven } from './environment.ts';

/** Traces of deliveries, for an OpenTelemetry collector. Absent: there are none, and nothing of it is loaded. */
export const tracingSchema = z
  .strictObject({
    /** Where they go: OTLP over HTTP, as JSON. Whoever is there reads job ids, events and the hosts of endpoints. */
    endpoint: z
      .url({
        protocol: /^https?$/,
        error:
          'Say where traces go, here or in OTEL_EXPORTER_OTLP_ENDPOINT: https://collector.example.com:4318/v1/traces.',
        abort: true,
      })
      .refine(hasNoUserInfo, { error: 'Credentials do not stand in the URL: give "headers".' }),
    /** Sent with every request to it. */
    headers: requestHeaders.default({}),
    /** The share of triggers that are told. */
    sampleRatio: z.number().min(0).max(1).default(1),
    /** Whether endpoints are sent the header `traceparent` (W3C Trace Context). */
    sendTraceparent: z.boolean().default(false),
  })
  .optional();

/** An endpoint makes traces; a ratio alone only says how many of those of the file are told. */
export function tracingOf({ tracing }: Record<string, unknown>, given: Given): object {
  const base = given('OTEL_EXPORTER_OTLP_ENDPOINT');
  // As the OpenTelemetry specification has it: the one is the URL, the other what it comes behind.
  const endpoint =
    given('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? (base && `${base.endsWith('/') ? base : `${base}/`}v1/traces`);
  const ratio = given('TRIGGERS_TRACING_SAMPLE_RATIO');
  if (endpoint === undefined && !isRecord(tracing)) return {};
  return { tracing: withGiven(tracing, { endpoint, sampleRatio: ratio && Number(ratio) }) };
}
