import { z } from 'zod';
import { HEADER_NAME } from '../../contract/request-shape.ts';
import { expressionMistake } from './expressions.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import { PRESET_NAMES, presetNamed } from './presets.ts';
import { onlyJobs } from '../../authorizations/authorization-config.ts';
import { limits } from '../../config/api-keys.ts';
import { schemeOf, isSignedAlone, canVerify } from './signature.ts';
import { checkVariables } from '../../config/problems.ts';
import { part, valueInFile } from '../../config/file.ts';

// No message in this file may repeat a value, since some are secrets.

const secretOf = (leastCharacters: number) =>
  z
    .string()
    .max(8192)
    // Not in its type: the Helm chart would then check the length of a reference.
    .refine(
      ({ length }) => length >= leastCharacters,
      `A secret here must have at least ${leastCharacters} characters.`,
    );

/** One, or a new one beside one that is being replaced. */
const secretsOf = (secret: z.ZodString) =>
  z.union([secret, z.array(secret).min(1).max(5)], {
    error: 'This must be a secret, or a list of up to five of which any is right.',
  });

/** As long as our own signing secrets: anybody who has a signed request could guess a short one offline. */
const signingSecrets = secretsOf(secretOf(24));

/** It cannot be guessed offline: each guess is a request to us. */
const shownSecret = secretOf(16);

const headerName = z.string().regex(HEADER_NAME, 'This is not the name of a header.');

const person = z.strictObject({ username: z.string(), password: shownSecret });

const expression = z
  .string()
  .max(10_000)
  .superRefine((text, context) => {
    const mistake = expressionMistake(text);
    if (mistake !== undefined) context.addIssue({ code: 'custom', message: mistake });
  });

const name = z.string().min(1).max(255);

/** JSONata for the contents of one message. */
const expressionsShape = {
  each: expression.optional(),
  user: expression,
  audience: expression.optional(),
  event: expression,
  at: expression.optional(),
  profile: expression.optional(),
  ignore: expression.optional(),
};

function noPreset(given: unknown): string {
  const near = typeof given === 'string' ? nearestKey(given, PRESET_NAMES) : undefined;
  return near === undefined ? `This must be one of ${PRESET_NAMES.join(', ')}.` : `Did you mean "${near}"?`;
}

/** How a sender's messages are read. */
const readingShape = {
  /** Read them by what is known of a sender … */
  preset: z.enum(PRESET_NAMES, { error: ({ input }) => noPreset(input) }).optional(),
  /** … or JSONata. */
  expressions: z.strictObject(expressionsShape).optional(),
  /** The field of a person that is their id, with a preset. Default: the sender's own id. */
  userField: name.optional(),
  /** The audience of all requests. Default: the one that they name. */
  audience: name.optional(),
  /** Our slugs or ids, by the sender's ids, slugs or names. The sender's others are taken as they are. */
  audiences: z.record(name, name).default({}),
  /** Whether profiles come from the body, or from the audience source. */
  profiles: z
    .enum(['from-body', 'from-source'], { error: 'This must be "from-body" or "from-source".' })
    .default('from-body'),
};

type ReadingSettings = z.infer<z.ZodObject<typeof readingShape>>;

/** Checks that these settings fit together. */
function checkReading({ preset, expressions, userField, audience }: ReadingSettings, problem: Problem): void {
  if ((preset === undefined) === (expressions === undefined))
    problem([], 'It needs either a "preset" or "expressions".');
  if (expressions !== undefined && userField !== undefined)
    problem(['userField'], 'This is for a preset; with expressions, "user" says it.');
  if (expressions !== undefined && expressions.audience === undefined && audience === undefined)
    problem(['expressions', 'audience'], 'Without this, "audience" beside "expressions" must say it.');
}

/** The headers that a signature covers, as a pattern. */
const SIGNED_HEADERS = { hmac: '$.', customerio: 'x-cio-timestamp', 'standard-webhooks': 'webhook-(id|timestamp)' };

const UNSIGNED_WORDS =
  'The signature covers neither the URL nor this header. Read it from the body, or give the ingest a "header", "basic" or "parameter" besides.';

type Problem = (path: string[], message: string) => void;

/** How messages of a stream are read. The stream itself decides who may write to it. */
export const streamIngestSchema = z
  .strictObject(readingShape)
  .superRefine((settings, context) =>
    checkReading(settings, (path, message) => context.addIssue({ code: 'custom', path, message })),
  );

export type StreamIngestConfig = Readonly<z.infer<typeof streamIngestSchema>>;

/** One sender of changes, by name. */
const ingestSchema = z
  .strictObject({
    ...readingShape,
    expressions: z.strictObject({ ...expressionsShape, id: expression.optional() }).optional(),
    /** The only jobs that get triggers: while one of them does not run, all that is for them waits. Default: every running job that subscribes. */
    jobs: onlyJobs,
    limits: limits.unwrap().omit({ requestsInFlight: true, streams: true }).optional(),
    /** The status for bad data. Default: by preset. */
    badDataStatus: z.union([z.literal(422), z.literal(200)], { error: 'This must be 422 or 200.' }).optional(),
    signature: z
      .strictObject({
        secret: signingSecrets,
        kind: z.enum(['hmac', 'customerio', 'standard-webhooks']).optional(),
        header: headerName.optional(),
        algorithm: z.enum(['sha1', 'sha256']).optional(),
        encoding: z.enum(['hex', 'base64']).optional(),
        /** The part of the body that is signed. With `first-event`, nothing proves the others of a batch. Default: all of it. */
        covers: z.enum(['body', 'first-event'], { error: 'This must be "body" or "first-event".' }).optional(),
      })
      .optional(),
    /** RFC 7617. */
    basic: z.union([person, z.array(person).min(1).max(5)]).optional(),
    header: z.strictObject({ name: headerName, value: secretsOf(shownSecret) }).optional(),
    /** A parameter of the URL. Logs on the way may contain it. */
    parameter: z.strictObject({ name, value: secretsOf(shownSecret) }).optional(),
  })
  .superRefine((settings, context) => {
    const problem: Problem = (path, message) => context.addIssue({ code: 'custom', path, message });
    const { preset, signature } = settings;
    checkReading(settings, problem);
    if (signature === undefined) return;
    const scheme = schemeOf(signature, preset === undefined ? undefined : presetNamed(preset).signature);
    if (scheme === undefined)
      return problem(['signature', 'header'], 'Say which header has the signature: this sender is not known to sign.');
    if (scheme.kind !== 'hmac')
      for (const part of ['header', 'algorithm', 'encoding', 'covers'] as const)
        if (signature[part] !== undefined) problem(['signature', part], 'This is only for a signature of kind "hmac".');
    const unsigned = new RegExp(`\\$query\\b|\\$headers\\b(?!\\.[\`"](${SIGNED_HEADERS[scheme.kind]})[\`"])`);
    if (isSignedAlone(settings))
      for (const [part, text = ''] of Object.entries(settings.expressions ?? {}))
        if (part !== 'id' && unsigned.test(text)) problem(['expressions', part], UNSIGNED_WORDS);
    const all = typeof signature.secret === 'string' ? [signature.secret] : signature.secret;
    if (scheme.kind === 'standard-webhooks' && !all.every(canVerify))
      problem(
        ['signature', 'secret'],
        'A secret of Standard Webhooks is "whsec_" and the base64 of 24 bytes or more; of a sender with an ed25519 key, "whpk_" and its public key.',
      );
  });

export type IngestConfig = Readonly<z.infer<typeof ingestSchema>>;

/** Senders of changes, by the name in the path of their requests. */
export const ingestsSchema = z
  .record(z.string(), ingestSchema)
  .superRefine((ingests, context) => {
    // The name is not shown, as no key is that may be a whole line with a secret in it.
    for (const [index, name] of Object.keys(ingests).entries())
      if (!/^[\w-]{1,64}$/.test(name))
        context.addIssue({
          code: 'custom',
          message: `The name of ingest number ${index + 1} has more than letters, digits, "_" and "-", or more than 64 of them: it stands in a path.`,
        });
  })
  .default({});

export type ConfiguredIngests = Readonly<z.infer<typeof ingestsSchema>>;

/** Reads only the ingests: no other secret of the file is read. @throws ConfigError */
export function configuredIngests(env: NodeJS.ProcessEnv = process.env): ConfiguredIngests {
  checkVariables(env);
  return part('ingests', ingestsSchema, valueInFile('ingests', env));
}
