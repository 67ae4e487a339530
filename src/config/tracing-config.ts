import { z } from 'zod';
import { requestHeaders } from './authorization-config.ts';

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
      .refine((url) => new URL(url).username === '' && new URL(url).password === '', {
        error: 'Credentials do not stand in the URL: give "headers".',
      }),
    /** Sent with every request to it. */
    headers: requestHeaders.default({}),
    /** The share of triggers that are told. */
    sampleRatio: z.number().min(0).max(1).default(1),
    /** Whether endpoints are sent the header `traceparent` (W3C Trace Context). */
    sendTraceparent: z.boolean().default(false),
  })
  .optional();
