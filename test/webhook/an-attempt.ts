import type { Attempt } from '../../src/webhook/attempt.ts';
import type { Poster } from '../../src/webhook/poster.ts';

/** What comes of one POST. */
export function attemptOf(
  poster: Poster,
  url: URL | string,
  headers: string[],
  body: string | Buffer,
  mostMs = 60_000,
): Promise<Attempt> {
  return new Promise((resolve) => poster.post(new URL(url), { headers, body }, mostMs, resolve));
}
