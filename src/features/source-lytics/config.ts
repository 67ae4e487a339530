import { z } from 'zod';
import { serviceToken, serviceUrl, maxProfileAgeMs, lagMs, timeoutMs, throughProxy } from '../../config/values.ts';

/** A Lytics account (docs/sources/lytics.md). */
export const lyticsSource = z.strictObject({
  kind: z.literal('lytics'),
  /** An API token; sent unchanged in the header `authorization`. */
  token: serviceToken,
  /** The identity field whose value is a person's id in triggers and messages: `_uid`, `user_id` … */
  userField: z
    .string()
    .regex(/^\w{1,100}$/, 'The name of a Lytics field must consist of letters, digits and underscores: _uid.'),
  url: serviceUrl.default('https://api.lytics.io'),
  /** Custom fields of the account whose strings are numbers, or whose objects contain such strings. */
  numberFields: z.array(z.string().min(1)).default([]),
  /** Rows per request of a scan. */
  pageSize: z.number().int().min(1).max(100).default(100),
  /** Most look-ups of profiles in flight for one slice. */
  parallelLookUps: z.number().int().min(1).max(64).default(8),
  /** How old, in ms, a profile from a scan or a look-up may be before it is fetched again. */
  maxProfileAgeMs: maxProfileAgeMs.default(120_000),
  lagMs: lagMs.default(300_000),
  timeoutMs,
  throughProxy,
});

export type LyticsSourceConfig = Readonly<z.infer<typeof lyticsSource>>;

/** Names the source for people. */
export function shownLytics({ url }: LyticsSourceConfig): string {
  return `Lytics, ${new URL(url).origin}`;
}
