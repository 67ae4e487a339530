import { z } from 'zod';
import { isRecord } from '../domain/json.ts';
import { type Given, withGiven } from './environment.ts';

/** Metrics for Prometheus. Absent: none are kept, and no port is opened. */
export const metricsSchema = z
  .strictObject({
    /** They are served at `/metrics` on this port; 0: on a free one, which the worker prints. */
    port: z.number().int().min(0).max(65_535),
    /** Whoever can reach it can read job ids and numbers. */
    host: z.string().min(1).default('127.0.0.1'),
    /** Most jobs that are queried for what only they know, every 30 s while metrics are being scraped; 0: none. */
    jobs: z.number().int().min(0).max(1000).default(100),
  })
  .optional();

/** A port alone turns metrics on; a host only changes where the metrics that the file configures are served. */
export function metricsOf({ metrics }: Record<string, unknown>, given: Given): object {
  const port = given('TRIGGERS_METRICS_PORT');
  if (port === undefined && !isRecord(metrics)) return {};
  return { metrics: withGiven(metrics, { port: port && Number(port), host: given('TRIGGERS_METRICS_HOST') }) };
}
