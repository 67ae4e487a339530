import { z } from 'zod';
import { hasNoUserInfo } from './authorization-config.ts';

/** What operators are told, and where. */
export const alertsSchema = z
  .strictObject({
    /** A webhook of the operators' own; reached under the same rules as any other. Without it, alerts are in the log alone. */
    url: z
      .url({ protocol: /^https?$/, error: 'An alert URL looks like https://alerts.example.com/hook.', abort: true })
      .refine(hasNoUserInfo, { error: 'Credentials do not stand in the URL: name one of "authorizations" beside it.' })
      .optional(),
    /** Name of one of `authorizations`; null: the webhook needs none. */
    authorization: z.string().min(1).nullable().default(null),
    /** Triggers that wait longer than this are worth an alert. */
    backlogMinutes: z
      .number()
      .min(1)
      .max(7 * 24 * 60)
      .default(15),
  })
  .prefault({});
