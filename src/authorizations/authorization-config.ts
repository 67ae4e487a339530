import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import { HEADER_NAME, RESERVED_HEADERS } from '../contract/request-shape.ts';
import { isSigningSecret } from '../webhook/signature.ts';
import type { ClientIdentity } from '../webhook/authorization.ts';

import { JOB_ID_PATTERN } from '../domain/names.ts';

// No message in this file may repeat a value, since most values are secrets.

/** Latin-1, as in HTTP/1.1. Blanks around a value would be lost on the way. */
const HEADER_VALUE = /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;
const MAX_HEADERS = 50;
const MAX_VALUE_LENGTH = 8192;

const secret = z.string().min(1, 'A secret must not be empty.').max(MAX_VALUE_LENGTH);

/** Headers that are sent with every request, in addition to those of the worker and the connection. */
export const requestHeaders = z
  .record(
    z.string(),
    secret.regex(HEADER_VALUE, 'A header value must be one line of plain characters, without blanks around it.'),
  )
  .superRefine((headers, context) => {
    const problem = (name: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [name], message });
    const names = Object.keys(headers);
    for (const [index, name] of names.entries()) {
      // The name is not shown, since it may be a whole line with a secret in it: "authorization: Bearer …".
      if (!HEADER_NAME.test(name)) {
        context.addIssue({ code: 'custom', message: `The name of header number ${index + 1} is not valid.` });
        continue;
      }
      if (RESERVED_HEADERS.test(name)) problem(name, 'The worker sets this header itself.');
      if (names.findIndex((other) => other.toLowerCase() === name.toLowerCase()) < index)
        problem(name, 'This header is given twice.');
    }
    if (names.length > MAX_HEADERS) context.addIssue({ code: 'custom', message: `At most ${MAX_HEADERS} headers.` });
  });

/** RFC 6749, 4.4. */
const oauth2 = z.strictObject({
  tokenUrl: z
    .url({
      protocol: /^https?$/,
      error: 'A token URL must look like https://login.example.com/oauth2/token.',
      abort: true,
    })
    .refine(hasNoUserInfo, { error: 'The URL must not contain credentials. Give clientId and clientSecret.' }),
  clientId: z.string().min(1),
  clientSecret: secret,
  scope: z.string().min(1).optional(),
  /** Further parameters of the token request, such as `audience` or `resource`. */
  parameters: z.record(z.string(), z.string()).default({}),
  /** How the client authenticates itself (RFC 6749, 2.3.1): by HTTP Basic, or in the request's body. */
  clientAuthentication: z.enum(['basic', 'body']).default('basic'),
});

/** The certificate that a client shows when a TLS connection is opened. */
export const clientCertificate = z
  .strictObject({
    /** PEM, optionally followed by its chain. */
    certificate: z.string().min(1),
    /** PEM. */
    key: secret,
    passphrase: z.string().min(1, 'A passphrase must not be empty.').optional(),
  })
  .refine(isUsableCertificate, {
    error:
      'The certificate and its key, both in PEM, do not belong together, or cannot be read. Is a passphrase missing or wrong?',
  });

const SIGNING_SECRET_WORDS =
  'A signing secret must be "whsec_" and the base64 of 24 to 64 bytes, or "whsk_" and the base64 of an ed25519 key. Make one with: triggers secrets new';

const signingSecret = z.string().refine(isSigningSecret, { error: SIGNING_SECRET_WORDS });

const signingSecrets = z
  .array(
    z.union([signingSecret, z.strictObject({ secret: signingSecret, until: z.iso.datetime({ offset: true }) })], {
      error: `${SIGNING_SECRET_WORDS}. One that is being replaced is given as {"secret": …, "until": "2026-12-31T00:00:00Z"}.`,
    }),
  )
  .refine((secrets) => secrets.length === 0 || secrets.some((one) => typeof one === 'string'), {
    error: 'At least one signing secret must have no "until", or requests would be sent unsigned some day.',
  })
  .default([]);

/** Some jobs, by id. Absent: all. */
export const onlyJobs = z
  .array(z.string().regex(JOB_ID_PATTERN, 'A job is named by its id.'))
  .min(1, 'Leave "jobs" out to mean all of them.')
  .refine((ids) => new Set(ids).size === ids.length, 'A job is named twice.')
  .optional();

/** How an endpoint knows who is calling. The parts may be combined, but only one can be in the header `authorization`. */
export const authorizationSchema = z
  .strictObject({
    /** Origins (`https://hooks.example.com`) that the secrets of this authorization may be sent to. */
    origins: z
      .array(
        z
          .url({ protocol: /^https?$/, error: 'An origin must look like https://hooks.example.com.', abort: true })
          .refine(isOrigin, {
            error:
              'An origin must have no path, user name or query: https://hooks.example.com, optionally with a port.',
          }),
      )
      .min(1),
    /** The only jobs that may use it, by id. Default: all. */
    jobs: onlyJobs,
    /** The only paths at its origins, each with all below it. Default: all. */
    paths: z
      .array(z.string().refine(isPlainPath, { error: 'A path looks like /api/hooks, without a query, ".." or "//".' }))
      .min(1, 'Leave "paths" out to mean all of them.')
      .optional(),
    /** Sent with every request. */
    headers: requestHeaders.default({}),
    /** Added to the URL's query. */
    queryParameters: z.record(z.string().min(1), secret).default({}),
    /** RFC 7617. */
    basic: z
      .strictObject({
        username: z.string().regex(/^[^:\p{Cc}]*$/u, 'A user name must not contain a colon or control characters.'),
        password: z
          .string()
          .regex(/^\P{Cc}*$/u, 'A password must not contain control characters.')
          .max(MAX_VALUE_LENGTH),
      })
      .optional(),
    /** A token, RFC 6750. */
    bearer: secret.regex(/^[\x21-\x7e]+$/, 'A token must be one word of plain characters.').optional(),
    oauth2: oauth2.optional(),
    /** Presented when a connection is opened (mutual TLS). */
    clientCertificate: clientCertificate.optional(),
    /** Standard Webhooks secrets; every request is signed with each of them that has not reached its end. */
    signingSecrets,
  })
  .superRefine((authorization, context) => {
    const { headers, basic, bearer, oauth2 } = authorization;
    if (provesNothing(authorization))
      context.addIssue({
        code: 'custom',
        message:
          'It proves nothing. Give headers, queryParameters, basic, bearer, oauth2, clientCertificate or signingSecrets. (For an endpoint that needs no authorization, a job says null.)',
      });
    const named = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
    const ways = [named && 'headers.authorization', basic && 'basic', bearer && 'bearer', oauth2 && 'oauth2'];
    const used = ways.filter((way) => typeof way === 'string' || typeof way === 'object');
    if (used.length > 1)
      context.addIssue({
        code: 'custom',
        message: 'Only one of headers.authorization, basic, bearer and oauth2 can be in the header "authorization".',
      });
  });

export type AuthorizationConfig = Readonly<z.infer<typeof authorizationSchema>>;
export type OAuth2Config = NonNullable<AuthorizationConfig['oauth2']>;

function provesNothing(parts: {
  readonly headers: object;
  readonly queryParameters: object;
  readonly basic?: { readonly username: string; readonly password: string } | undefined;
  readonly bearer?: string | undefined;
  readonly oauth2?: object | undefined;
  readonly clientCertificate?: object | undefined;
  readonly signingSecrets: readonly unknown[];
}): boolean {
  const { headers, queryParameters, basic, bearer, oauth2, clientCertificate, signingSecrets } = parts;
  const isBasic = basic !== undefined && `${basic.username}${basic.password}` !== '';
  const count = Object.keys(headers).length + Object.keys(queryParameters).length + signingSecrets.length;
  return count === 0 && !isBasic && [bearer, oauth2, clientCertificate].every((part) => part === undefined);
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).href === `${new URL(text).origin}/`;
}

function isPlainPath(text: string): boolean {
  const base = 'https://a.example';
  return URL.canParse(text, base) && new URL(text, base).href === base + text && !/[?#]|\/\//.test(text);
}

/** Zod's own check of URLs accepts user names in them. */
export function hasNoUserInfo(text: string): boolean {
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

function isUsableCertificate({ certificate, key, passphrase }: ClientIdentity): boolean {
  try {
    createSecureContext({ cert: certificate, key, passphrase });
    return true;
  } catch {
    return false;
  }
}
