import { z } from 'zod';
import { requestHeaders } from '../../authorizations/authorization-config.ts';
import { collectorUrl, milliseconds } from '../../config/values.ts';
import { certificateAuthorities, folder, postgresUrl } from '../../config/values.ts';
import { checkVariables } from '../../config/problems.ts';
import { part, valueInFile } from '../../config/file.ts';

/** Where every attempt is kept (docs/delivery-log.md). Absent: nowhere, and jobs know only what their histories hold. */
export const deliveryLogSchema = z
  .strictObject({
    /** A PostgreSQL database. Its role makes tables, one for each day, and drops old ones. */
    url: postgresUrl.optional(),
    /** In place of a database: a folder of this machine, for a file. */
    folder: folder().optional(),
    /** In place of a database: an OpenTelemetry collector, which gets log records. They are read there. */
    otlp: z
      .strictObject({
        endpoint: collectorUrl('Say where logs go: https://collector.example.com:4318/v1/logs.'),
        /** Sent with every request to it. */
        headers: requestHeaders.default({}),
      })
      .optional(),
    /** Which requests are kept, as they were sent: of no attempts, of those that failed, or of all. */
    bodies: z.enum(['none', 'failed', 'all']).default('failed'),
    /** Replaces the one in the URL, and needs no escaping. */
    password: z.string().min(1).optional(),
    certificateAuthorities,
    /** How many days are kept, besides today. */
    retentionDays: z.number().int().min(1).max(3650).default(30),
    /** Longest wait for a connection, in ms. */
    connectTimeoutMs: milliseconds(60_000).default(5_000),
    /** Longest time for one statement, in ms. */
    statementTimeoutMs: milliseconds(60_000).default(10_000),
  })
  .refine(({ url, folder, otlp }) => [url, folder, otlp].filter((one) => one !== undefined).length === 1, {
    error: 'It needs one of "url" (a PostgreSQL database), "folder" (on this machine) and "otlp" (a collector).',
  })
  .optional();

export type DeliveryLogConfig = NonNullable<z.infer<typeof deliveryLogSchema>>;

/** The log of `triggers up`, which keeps all requests. */
export function deliveryLogIn(folder: string): DeliveryLogConfig | undefined {
  return deliveryLogSchema.parse({ folder, bodies: 'all' });
}

/**
 * Reads only where attempts are kept, for programs that read them. No other secret of the file is read.
 *
 * @throws ConfigError
 */
export function configuredDeliveryLog(env: NodeJS.ProcessEnv = process.env): DeliveryLogConfig | undefined {
  checkVariables(env);
  return part('deliveryLog', deliveryLogSchema, valueInFile('deliveryLog', env));
}
