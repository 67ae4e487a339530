import { z } from 'zod';
import { type Env, withOverrides, numberIn } from '../../config/problems.ts';
import { isRecord } from '../../domain/json.ts';

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

export type MetricsConfig = NonNullable<z.infer<typeof metricsSchema>>;

/** A port alone turns metrics on; a host only changes where the metrics that the file configures are served. */
export function metricsOf({ metrics }: Record<string, unknown>, env: Env): object {
  const port = env('TRIGGERS_METRICS_PORT');
  if (port === undefined && !isRecord(metrics)) return {};
  return { metrics: withOverrides(metrics, { port: port && numberIn(port), host: env('TRIGGERS_METRICS_HOST') }) };
}
