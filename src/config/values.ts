import { z } from 'zod';
import { hasNoUserInfo } from '../authorizations/authorization-config.ts';
import { readPostgresUrl } from '../postgres/connection.ts';
import { areCertificates } from '../network/tls.ts';

/** @param error what to say when it is none. */
export function collectorUrl(error: string) {
  return z
    .url({ protocol: /^https?$/, error, abort: true })
    .refine(hasNoUserInfo, { error: 'The URL must not contain credentials. Give "headers" instead.' });
}

// The common part of the configurations of sources that are services. No message in this file may repeat a value, since some are secrets.

/** A whole header value. */
export const serviceToken = z
  .string()
  .min(1, 'A token must not be empty.')
  .max(8192)
  .regex(/^[\x21-\x7e]+$/, 'A token must be one word of plain characters.');

/** Naming its origin here allows requests to it, even over http and at a private address. */
export const serviceUrl = z
  .url({ protocol: /^https?$/, error: 'A URL must look like https://people.example.com.', abort: true })
  .refine(
    (text) => {
      const { username, password, search, hash } = new URL(text);
      return username === '' && password === '' && search === '' && hash === '';
    },
    {
      error:
        'The URL must have no user name, password, query or fragment: https://people.example.com, optionally with a path.',
    },
  );

/** The shortest time that a setting in ms can mean; anything shorter was meant in seconds. */
const LEAST_MS = 100;

/** A time in ms. */
export function milliseconds(most: number, least = LEAST_MS): z.ZodNumber {
  const error = `This must be in milliseconds, from ${least} to ${most}: 10 seconds are 10000.`;
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
}

/** A time in ms, or 0. */
export function millisecondsOrNone(most: number): z.ZodNumber {
  const error = `This must be in milliseconds, 0 or from ${LEAST_MS} to ${most}: 60 seconds are 60000.`;
  const isTime = (time: number): boolean => time === 0 || time >= LEAST_MS;
  const number = z.number({ error }).int({ error }).max(most, { error }).refine(isTime, { error });
  // The same as JSON Schema, for the values of the Helm chart.
  return number.meta({ anyOf: [{ const: 0 }, { minimum: LEAST_MS }] });
}

/** Longest time, in ms, for a request to a service: less than the timeout of the activity that makes it. */
export const timeoutMs = milliseconds(15_000).default(10_000);

/** How late, in ms, a source may show that somebody has left. */
export const lagMs = millisecondsOrNone(86_400_000);

/** How old, in ms, a profile may be before it is fetched again. */
export const maxProfileAgeMs = millisecondsOrNone(3_600_000);

/** Whether requests go through `network.proxy`, if there is one. */
export const throughProxy = z.boolean().default(true);

// No message in this file may repeat a URL or a password.

/** A table's name, optionally with its schema; a part that contains a dot is in quotes, as in PostgreSQL. */
const TABLE = /^(?:"(?:[^"\0]|"")+"|[^."\0]+)(?:\.(?:"(?:[^"\0]|"")+"|[^."\0]+))?$/;

export const table = z.string().regex(TABLE, 'A table must be named as in the database: people, or crm.people.');

export const postgresUrl = z.string().superRefine((text, context) => {
  const reading = readPostgresUrl(text);
  if (!reading.ok) context.addIssue({ code: 'custom', message: reading.problem });
});

/** Authorities that are trusted for a server's certificate, in addition to Node's: PEM. With them, TLS is used even if a URL does not ask for it. */
export const certificateAuthorities = z
  .array(
    z.string().refine(areCertificates, {
      error: 'A certificate authority must be one or more certificates as PEM: -----BEGIN CERTIFICATE----- …',
    }),
  )
  .default([]);

/**
 * Begins like a URL, after marks that env files leave around a value. A scheme has two letters or more, since `C:/` is a folder. One with `:/` alone was
 * misspelt, and may have a password all the same.
 */
const BEGINS_AS_URL = /^[\s"'`]*[a-z][a-z\d+.-]+:\//i;

/** A folder as it is written. No message repeats it: a text that looks like a URL may hold a password. */
export function folder(advice = ''): z.ZodString {
  const error = 'A folder must be named: "." is that of the configuration file.';
  return z
    .string()
    .min(1, { error, abort: true })
    .regex(/\S/, { error, abort: true })
    .refine((text) => !BEGINS_AS_URL.test(text), { error: `This looks like a URL, not a folder.${advice}` });
}

/** Whether a text can be meant as a folder: a path made from any other text would be misleading, or show a password. */
export function isFolder(text: string): boolean {
  return folder().safeParse(text).success;
}
