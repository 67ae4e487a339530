import { z } from 'zod';

/** How much one key or one ingest may use. */
export const limits = z
  .strictObject({
    /** Requests a second, on average; after a pause, those of one second at once. Default: any number. */
    requestsPerSecond: z.number().positive('This must be above 0.').max(1_000_000).optional(),
    /** Bytes of its bodies that are being read or answered. Default: 128 MiB. */
    bytesInFlight: z.number().int().positive().optional(),
    /** Requests at a time, but for triggers and streams. Default: 32. */
    requestsInFlight: z.number().int().positive().optional(),
    /** Streams of server-sent events. Default: 100. */
    streams: z.number().int().nonnegative().optional(),
  })
  .optional();

export type ConfiguredLimits = NonNullable<z.infer<typeof limits>>;

/** The rights of a key of the HTTP API. */
export const RIGHTS = ['read', 'trigger', 'operate'] as const;

export type Right = (typeof RIGHTS)[number];

const names = (what: string) =>
  z
    .array(z.string().min(1), { error: `"${what}" must be a list of names.` })
    .min(1, `Leave "${what}" out to allow all of them.`);

/** The keys of the HTTP API, by name. Only its user has the key itself. */
export const apiKeysSchema = z
  .record(
    z.string().min(1).max(100),
    z
      .strictObject({
        /** SHA-256 of the key, in hex: a key has 256 random bits, too many to guess. */
        hash: z.string().regex(/^sha256:[0-9a-f]{64}$/, {
          error:
            'A hash looks like sha256: and 64 hex digits. Make a key and its hash with: triggers secrets new --api-key',
        }),
        /** `read`: see everything; `trigger`: send triggers; `operate`: change jobs, and decide about dead letters. */
        may: z
          .array(z.enum(RIGHTS, { error: `A right is one of ${RIGHTS.join(', ')}.` }))
          .min(1, 'A key that may do nothing is none: give it "read", "trigger" or "operate".'),
        /** Only these jobs, by id. Default: all. */
        jobs: names('jobs').optional(),
        limits,
        /** The audiences that it may use in its jobs and send triggers about, by slug or id as the caller names them. Default: those that its jobs have. */
        audiences: names('audiences').optional(),
        /** The authorizations that it may use in its jobs, by name; an empty list: none. Default: those that its jobs have. */
        authorizations: z.array(z.string().min(1)).optional(),
        /** From then on it is refused. Default: never. */
        expires: z.iso
          .datetime({ offset: true, error: 'This must be an RFC 3339 time, such as 2027-01-31T00:00:00Z.' })
          .optional(),
      })
      .superRefine(({ may, jobs, audiences, authorizations }, context) => {
        if (jobs !== undefined) return;
        const isForTriggers = may.every((right) => right === 'trigger');
        const refuse = (field: string, only: string): void =>
          context.addIssue({ code: 'custom', path: [field], message: `Only ${only} can have this. Add "jobs".` });
        if (audiences !== undefined && !isForTriggers)
          refuse('audiences', 'a key for some jobs, or one that may nothing but "trigger",');
        if (authorizations !== undefined) refuse('authorizations', 'a key for some jobs');
      }),
  )
  .default({});

export type ConfiguredApiKeys = Readonly<z.infer<typeof apiKeysSchema>>;
