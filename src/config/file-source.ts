import { z } from 'zod';
import { folder, millisecondsOrNone, lagMs } from './values.ts';

/** A folder of files (docs/sources/file.md). */
export const fileSource = z.strictObject({
  kind: z.literal('file'),
  /** A folder of NDJSON files. */
  folder: folder(
    ' A PostgreSQL database is written postgres://… in TRIGGERS_SOURCE, without blanks or quotes around it, or as the "url" of a source of the kind "postgres".',
  ),
  /** How long, in ms, a file must not have changed before it counts as written to its end; 0: files are only ever replaced by finished ones. */
  quietMs: millisecondsOrNone(600_000).optional(),
  /** How late, in ms, the files may show that somebody has left. Default: 0. */
  lagMs: lagMs.optional(),
});
