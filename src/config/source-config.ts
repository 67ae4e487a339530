import { z } from 'zod';

const file = z.strictObject({
  kind: z.literal('file'),
  /** NDJSON files (docs/sources/file.md). */
  folder: z.string().min(1),
});

/** Where audiences, members and profiles come from: one kind of source. */
export const sourceSchema = z.discriminatedUnion('kind', [file]);

export type SourceConfig = z.infer<typeof sourceSchema>;
