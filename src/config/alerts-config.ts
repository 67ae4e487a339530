import { z } from 'zod';
import { MANGLED, IS_MANGLED } from '../contract/request-shape.ts';
import { hasNoUserInfo } from '../authorizations/authorization-config.ts';

/** Alerts to operators, and where they go. */
export const alertsSchema = z
  .strictObject({
    /** A webhook of the operators' own, reached under the same rules as any other. Without it, alerts only appear in the log. */
    url: z
      .string()
      // Before it is parsed, since parsing removes some of these.
      .refine((url) => !MANGLED.test(url), { error: `The URL ${IS_MANGLED}`, abort: true })
      .pipe(
        z.url({ protocol: /^https?$/, error: 'An alert URL looks like https://alerts.example.com/hook.', abort: true }),
      )
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
