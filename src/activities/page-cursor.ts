import { markPage } from '../sources/loop-mark.ts';

/** Where a backfill continues in a source, with what is needed to notice that the source leads it in a circle. */
export interface PageCursor {
  /** The source's own cursor; undefined at the start of an audience. */
  readonly after: string | undefined;
  /** Pages before it. */
  readonly pages: number;
  /** The place after the last page whose number was a power of two. */
  readonly mark: string;
}

const CURSOR = /^(\d+)\.([\w-]{12})\.(.*)$/s;

/** Reads what `writeCursor` wrote, and takes anything else for the source's own cursor. */
export function readCursor(text: string | null): PageCursor {
  const [, pages, mark, after] = CURSOR.exec(text ?? '') ?? [];
  if (pages === undefined || mark === undefined || after === undefined)
    return { after: text ?? undefined, pages: 0, mark: '' };
  return { after, pages: Number(pages), mark };
}

/**
 * The cursor after one more page, for which the source answered `next`; undefined when that place has come before. A place that comes twice
 * in a row is noticed at once, a longer circle after at most three times its length (Brent's algorithm). All that this needs is in the
 * cursor, so any worker can read the next page.
 */
export function nextCursor({ after, pages, mark }: PageCursor, next: string): string | undefined {
  const behind = next === after ? undefined : markPage({ pages, mark }, next);
  return behind && `${behind.pages}.${behind.mark}.${next}`;
}

/** How many pages a circle that `nextCursor` has found can have at most. */
export function circlePages({ pages }: PageCursor): number {
  return pages === 0 ? 1 : pages + 1 - 2 ** Math.floor(Math.log2(pages));
}
