import { createHash } from 'node:crypto';

/** What a cursor remembers of the pages before it, so that a service that leads in a circle is noticed. */
export interface LoopMark {
  /** Pages so far. */
  readonly pages: number;
  /** Identifies the last page whose number was a power of two. */
  readonly mark: string;
}

export const NO_PAGES: LoopMark = { pages: 0, mark: '' };

/**
 * The mark after one more page; undefined when that page has come before. A mark of a few bytes finds every circle, after at most three
 * times its length (Brent's algorithm).
 *
 * @param page a text that differs for every page of a service that comes to an end.
 */
export function markPage({ pages, mark }: LoopMark, page: string): LoopMark | undefined {
  const hash = createHash('sha256').update(page).digest('base64url').slice(0, 12);
  if (hash === mark) return undefined;
  const number = pages + 1;
  const isPowerOfTwo = (number & (number - 1)) === 0;
  return { pages: number, mark: isPowerOfTwo ? hash : mark };
}
