import { z } from 'zod';
import { hasNoUserInfo } from './authorization-config.ts';

/** What operators are told, and where. */
export const alertsSchema = z
  .strictObject({
    /** A webhook of the operators' own, reached under the same rules as any other. Without it, alerts only appear in the log. */
    url: z
      .url({ protocol: /^https?$/, error: 'An alert URL looks like https://alerts.example.com/hook.', abort: true })
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
