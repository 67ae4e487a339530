import { z } from 'zod';

/** What a key of the HTTP API may do. */
export const RIGHTS = ['read', 'trigger', 'operate'] as const;
export type Right = (typeof RIGHTS)[number];

const names = (what: string) =>
  z
    .array(z.string().min(1), { error: `"${what}" must be a list of names.` })
    .min(1, `Leave "${what}" out to allow all of them.`);

/** The keys of the HTTP API, by name. A key itself is nowhere but with whoever uses it. */
export const apiKeysSchema = z
  .record(
    z.string().min(1).max(100),
    z
      .strictObject({
        /** SHA-256 of the key, in hex: a key has 256 random bits, so nobody finds it by trying. */
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
        /** Only triggers about these audiences, by slug or id as the caller names them; for keys that may only `trigger`. Default: all. */
        audiences: names('audiences').optional(),
      })
      .refine(({ may, audiences }) => audiences === undefined || may.every((right) => right === 'trigger'), {
        path: ['audiences'],
        error:
          'Only a key that may nothing but "trigger" can be limited to audiences. To limit another one, use "jobs".',
      }),
  )
  .default({});

export type ConfiguredApiKeys = Readonly<z.infer<typeof apiKeysSchema>>;
