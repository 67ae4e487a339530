import { z } from 'zod';

// What the configurations of sources that are services have in common. No message in here may repeat a value: some are secrets.

/** A whole header value. */
export const serviceToken = z
  .string()
  .min(1, 'A token is not empty.')
  .max(8192)
  .regex(/^[\x21-\x7e]+$/, 'A token is one word of plain characters.');

/** By being named here, its origin is allowed: by http and at a private address, too. */
export const serviceUrl = z
  .url({ protocol: /^https?$/, error: 'A URL looks like https://people.example.com.', abort: true })
  .refine(
    (text) => {
      const { username, password, search, hash } = new URL(text);
      return username === '' && password === '' && search === '' && hash === '';
    },
    {
      error: 'The URL has no user name, password, query or fragment: https://people.example.com, perhaps with a path.',
    },
  );

/** Longest time, in ms, for what is asked of a service. Less than an activity has. */
export const timeoutMs = z.number().int().min(100).max(15_000).default(10_000);

/** How late, in ms, a service may show that somebody has left. */
export const lagMs = z.number().int().min(0).max(86_400_000);

/** Whether requests go through `network.proxy`, if there is one. */
export const throughProxy = z.boolean().default(true);
