import { createHash } from 'node:crypto';

/** What a cursor remembers of the pages before it, so that a service which leads in a circle is found out. */
export interface LoopMark {
  /** Pages so far. */
  readonly pages: number;
  /** Of the page whose number was the last power of two. */
  readonly mark: string;
}

export const NO_PAGES: LoopMark = { pages: 0, mark: '' };

/**
 * The mark behind one more page; undefined when that page was there before. Every circle is found, after three times its length at most (Brent's
 * algorithm), by a mark of a few bytes.
 *
 * @param page what is different for every page of a service that comes to an end.
 */
export function markPage({ pages, mark }: LoopMark, page: string): LoopMark | undefined {
  const hash = createHash('sha256').update(page).digest('base64url').slice(0, 12);
  if (hash === mark) return undefined;
  const number = pages + 1;
  const isPowerOfTwo = (number & (number - 1)) === 0;
  return { pages: number, mark: isPowerOfTwo ? hash : mark };
}
