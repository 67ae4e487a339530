import { markPage } from '../sources/loop-mark.ts';

/** Where a backfill goes on in a source, and what finds out that the source leads it in a circle. */
export interface PageCursor {
  /** What the source calls the place; undefined at an audience's start. */
  readonly after: string | undefined;
  /** Pages before it. */
  readonly pages: number;
  /** Of the place behind the page whose number was the last power of two. */
  readonly mark: string;
}

const CURSOR = /^(\d+)\.([\w-]{12})\.(.*)$/s;

/** Reads what `writeCursor` wrote, and takes anything else for a place as the source calls it. */
export function readCursor(text: string | null): PageCursor {
  const [, pages, mark, after] = CURSOR.exec(text ?? '') ?? [];
  if (pages === undefined || mark === undefined || after === undefined)
    return { after: text ?? undefined, pages: 0, mark: '' };
  return { after, pages: Number(pages), mark };
}

/**
 * The cursor behind one more page, which ends where the source says `next`; undefined when that place was there before. A place that comes twice
 * in a row is found at once, every longer circle after three times its length at most (Brent's algorithm): all of it is in the cursor, whichever
 * worker reads the next page.
 */
export function nextCursor({ after, pages, mark }: PageCursor, next: string): string | undefined {
  const behind = next === after ? undefined : markPage({ pages, mark }, next);
  return behind && `${behind.pages}.${behind.mark}.${next}`;
}

/** After `nextCursor` found a circle: how many pages it has at most. */
export function circlePages({ pages }: PageCursor): number {
  return pages === 0 ? 1 : pages + 1 - 2 ** Math.floor(Math.log2(pages));
}
