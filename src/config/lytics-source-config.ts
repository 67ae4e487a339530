import { z } from 'zod';
import { lagMs, serviceToken, serviceUrl, throughProxy, timeoutMs } from './service-config.ts';

/** A Lytics account (docs/sources/lytics.md). */
export const lyticsSource = z.strictObject({
  kind: z.literal('lytics'),
  /** Of the API; sent as it is in the header `authorization`. */
  token: serviceToken,
  /** The identity field whose value is a person's id in triggers and messages: `_uid`, `user_id` … */
  userField: z.string().regex(/^\w{1,100}$/, 'A field of Lytics is a name of letters, digits and underscores: _uid.'),
  url: serviceUrl.default('https://api.lytics.io'),
  /** Fields of the account's own whose texts are numbers, or objects of numbers. */
  numberFields: z.array(z.string().min(1)).default([]),
  /** Rows of one request of a scan. */
  pageSize: z.number().int().min(1).max(100).default(100),
  /** Most look-ups of profiles under way, for the whole worker's slice. */
  parallelLookUps: z.number().int().min(1).max(64).default(8),
  /** How old, in ms, a profile may be that a scan or a look-up brought before it is asked for again. */
  maxProfileAgeMs: z.number().int().min(0).max(3_600_000).default(120_000),
  lagMs: lagMs.default(300_000),
  timeoutMs,
  throughProxy,
});

export type LyticsSourceConfig = Readonly<z.infer<typeof lyticsSource>>;
