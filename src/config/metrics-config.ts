import { z } from 'zod';
import { isRecord } from '../domain/json.ts';
import { type Given, withGiven } from './environment.ts';

/** Metrics for Prometheus. Absent: none are kept, and nothing is listened on. */
export const metricsSchema = z
  .strictObject({
    /** Where they are served, at `/metrics`; 0: a free one, which the worker says. */
    port: z.number().int().min(0).max(65_535),
    /** Whoever reaches it reads job ids and numbers. */
    host: z.string().min(1).default('127.0.0.1'),
    /** Most jobs that are asked for what only they know, every 30 s while somebody scrapes; 0: none. */
    jobs: z.number().int().min(0).max(1000).default(100),
  })
  .optional();

/** A port makes metrics; a host alone only says where those of the file are served. */
export function metricsOf({ metrics }: Record<string, unknown>, given: Given): object {
  const port = given('TRIGGERS_METRICS_PORT');
  if (port === undefined && !isRecord(metrics)) return {};
  return { metrics: withGiven(metrics, { port: port && Number(port), host: given('TRIGGERS_METRICS_HOST') }) };
}
