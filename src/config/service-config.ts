import { z } from 'zod';

// What the configurations of sources that are services have in common. No message in this file may repeat a value, since some are secrets.

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

/** Longest time, in ms, for a request to a service: less than the timeout of the activity that makes it. */
export const timeoutMs = z.number().int().min(100).max(15_000).default(10_000);

/** How late, in ms, a service may show that somebody has left. */
export const lagMs = z.number().int().min(0).max(86_400_000);

/** Whether requests go through `network.proxy`, if there is one. */
export const throughProxy = z.boolean().default(true);
