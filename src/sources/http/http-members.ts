import { z } from 'zod';
import type { HttpSourceConfig } from '../../config/http-source-config.ts';
import type { Json } from '../../contract/trigger.ts';
import { type LoopMark, markPage, NO_PAGES } from '../loop-mark.ts';
import { readCursor } from '../read-cursor.ts';
import type { MembersPage } from '../source.ts';
import { SourceError } from '../source-error.ts';
import { userIn } from '../user-id.ts';
import { valueAt } from '../value-at.ts';
import type { HttpAudience } from './http-audiences.ts';
import type { HttpApi } from './http-pages.ts';

const WHAT = 'a page of members';
/** This many rows without a single id are not a coincidence. */
const NAMELESS_ROWS = 100;

/** Where the reading of members is. */
interface Place {
  /** Where the page is, as the previous one said; empty for the first. */
  readonly at: string;
  /** The page has been returned up to this person, since the service gave more than was asked for. */
  readonly behind?: string | undefined;
  /** Rows to ask for in each page: where the next page is may be a number of pages, which means nothing with another size. */
  readonly size: number;
  readonly loop: LoopMark;
}

const placeSchema = z.object({
  at: z.string(),
  behind: z.string().optional(),
  size: z.number().int().min(1),
  loop: z.object({ pages: z.number().int().min(0), mark: z.string() }),
});

export interface HttpMembersOptions {
  readonly api: HttpApi;
  readonly config: HttpSourceConfig['members'];
  /** Called with what is left out or repeated. */
  readonly tell: (audience: HttpAudience, what: string) => void;
  /** Longest time, in ms, after which no request of a page is begun. */
  readonly budgetMs: number;
}

/** Reads pages of members from pages of a service, whatever size these have. */
export class HttpMembers {
  readonly #options: HttpMembersOptions;

  constructor(options: HttpMembersOptions) {
    this.#options = options;
  }

  async page(audience: HttpAudience, after: string | undefined, limit: number): Promise<MembersPage> {
    const { api, config, budgetMs } = this.#options;
    const endsAtMs = performance.now() + budgetMs;
    const ids: string[] = [];
    let rows = 0;
    let place = placeOf(after, Math.min(limit, config.maxLimit));
    do {
      const room = limit - ids.length;
      const page = await api.page(WHAT, config, place.at, { audience: audience.key, limit: place.size });
      rows += page.rows.length;
      const users = this.#usersIn(audience, page.rows, place);
      ids.push(...users.slice(0, room));
      const last = ids.at(-1);
      // The place to continue within a page is remembered as a person, since positions shift as people come and go.
      if (users.length > room && last !== undefined) return { ids, next: cursorOf({ ...place, behind: last }) };
      if (page.next === '') return this.#ended(audience, ids, rows, after);
      place = { at: page.next, size: place.size, loop: this.#marked(audience, place.loop, page.next) };
    } while (ids.length < limit && performance.now() < endsAtMs);
    return { ...this.#ended(audience, ids, rows, after), next: cursorOf(place) };
  }

  /** The people of a page after that place; everybody when it is no longer there. */
  #usersIn(audience: HttpAudience, rows: readonly Json[], { behind }: Place): string[] {
    const users = rows.map((row) => userIn(valueAt(row, this.#options.config.id)));
    const named = users.filter((user) => user !== undefined);
    if (named.length < users.length) this.#options.tell(audience, 'some rows have no id of a person and are left out.');
    return behind === undefined ? named : named.slice(named.lastIndexOf(behind) + 1);
  }

  #marked({ slug }: HttpAudience, loop: LoopMark, next: string): LoopMark {
    const marked = markPage(loop, next);
    if (marked !== undefined) return marked;
    throw new SourceError(
      `The service leads in a circle: the members of "${slug}" continue at a page that was read before (after ${loop.pages} pages). Check "members" in the configuration's "source".`,
    );
  }

  /** A field that nobody has means a mistake in the configuration, not an empty audience. */
  #ended({ slug }: HttpAudience, ids: string[], rows: number, after: string | undefined): { readonly ids: string[] } {
    if (after !== undefined || ids.length > 0 || rows < NAMELESS_ROWS) return { ids };
    throw new SourceError(
      `None of the first ${rows} rows of "${slug}" has a person's id where "members.id" in the configuration's "source" says. An id is a text or a whole number.`,
    );
  }
}

function cursorOf(place: Place): string {
  return JSON.stringify(place);
}

/** @throws SourceError when a text is no cursor of this source. */
function placeOf(cursor: string | undefined, size: number): Place {
  if (cursor === undefined) return { at: '', size, loop: NO_PAGES };
  return readCursor(cursor, placeSchema, "of this service's members");
}
