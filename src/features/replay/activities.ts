import type { ToldCounts } from './found-told.ts';
import type { ToldLog, ToldRow } from '../delivery-log/told-log.ts';
import { alive, beating } from '../../activities/beating.ts';
import { ApplicationFailure } from '@temporalio/activity';
import type { ToldPage } from '../../contract/backfill.ts';
import type { Activities } from '../../contract/ports.ts';
import type { ToldQuery } from '../../contract/replay.ts';
import { deliveryId } from '../../domain/delivery-id.ts';
import { instantAfter, knownInstant, withOffset } from '../../domain/instant.ts';
import { jsonStringBytes } from '../../domain/json.ts';
import { EXPORT_WAIT_MS } from '../delivery-log/gaps-in-words.ts';
import { packTriggers, type PersonTrigger } from '../../domain/job/queue/chain.ts';
import { sha256 } from '../../webhook/sha256.ts';
import type { ReplayActivities } from './ports.ts';

/** How many rows are asked for at once. */
const ROWS = 2_000;
/** How long, in ms, a page may look for triggers that are to be sent; a page that takes longer ends early. */
const LOOK_UP_MS = 20_000;
/** How many are shown to people. */
const SHOWN = 5;
// [,["",199,1]], and the offset of `at`.
const TRIGGER_BYTES = 24;
const TYPICAL_BYTES = 64;

/** A replay needs this from its worker. */
export interface ToldDependencies {
  /** Undefined: the worker has no delivery log. */
  readonly toldLog: ToldLog | undefined;
}

/** The activities that read what a job told. Both choose in the same way, so that what is counted is what is sent. */
export function createTold({ toldLog }: ToldDependencies): ReplayActivities & Pick<Activities, 'listTold'> {
  return {
    async countTold(query) {
      if (toldLog === undefined) return null;
      const gaps = await toldLog.gaps(query, { waitMs: EXPORT_WAIT_MS });
      const counts = { enters: 0, exits: 0, outdated: 0, foreign: 0 };
      const people = new Set<string>();
      const first: ToldCounts['first'][number][] = [];
      let lastAt: string | undefined;
      let only: string | undefined;
      let isOfSeveral = false;
      for (let after: string | undefined, rows: readonly ToldRow[]; ; after = rows.at(-1)?.next) {
        rows = await toldLog.told(query, ROWS, after);
        for (const { isOutdated, next: _, ...row } of rows) {
          isOfSeveral ||= query.deliveryId !== undefined && row.deliveryId !== (only ??= row.deliveryId);
          if (audienceOf(query, row) === undefined) counts.foreign++;
          else if (isOutdated) counts.outdated++;
          else {
            counts[row.event === 'enter' ? 'enters' : 'exits']++;
            people.add(row.user);
            if (first.length < SHOWN) first.push(row);
            lastAt = row.at;
          }
        }
        alive();
        if (rows.length < ROWS) break;
      }
      const found = { ...counts, people: people.size, first, gaps };
      return { ...found, ...(lastAt === undefined ? {} : { lastAt }), ...(isOfSeveral ? { isOfSeveral } : {}) };
    },

    listTold: (...page) => beating(() => listTold(toldLog ?? refuse(), ...page)),
  };
}

async function listTold(
  log: ToldLog,
  query: ToldQuery,
  after: string | null,
  maxBytes: number,
  laterNs: number,
): Promise<ToldPage> {
  const told: PersonTrigger[] = [];
  let place = after ?? undefined;
  let bytes = 0;
  const page = (isEnd = false): ToldPage => ({
    told: packTriggers(told),
    ...(isEnd || place === undefined ? {} : { next: place }),
  });
  const most = Math.min(ROWS, Math.ceil(maxBytes / TYPICAL_BYTES));
  const endsAt = performance.now() + LOOK_UP_MS;
  do {
    const rows = await log.told(query, most, place);
    for (const row of rows) {
      const { user, event, triggerAt } = row;
      const audience = row.isOutdated ? undefined : audienceOf(query, row);
      if (audience !== undefined) {
        bytes += TRIGGER_BYTES + jsonStringBytes(user) + triggerAt.length;
        if (told.length > 0 && bytes > maxBytes) return page();
        told.push({ user, trigger: { audience, event, at: laterBy(triggerAt, laterNs) } });
      }
      place = row.next;
    }
    if (rows.length < most) return page(true);
  } while (performance.now() < endsAt);
  return page();
}

/**
 * The id of the row's audience, if the job would send its trigger with the same `webhook-id`; undefined otherwise. A slug may belong to
 * another audience by now, and another job may have had this id.
 */
function audienceOf({ audiences, events, subscriptionId }: ToldQuery, row: Omit<ToldRow, 'isOutdated' | 'next'>) {
  if (!events.includes(row.event)) return undefined;
  const { user, event, triggerAt: at } = row;
  return audiences.find(
    ({ id, slug }) =>
      slug === row.audience && deliveryId(subscriptionId, { user, audience: id, event, at }, sha256) === row.deliveryId,
  )?.id;
}

/** A later `at` makes another `webhook-id`. */
function laterBy(at: string, nanoseconds: number): string {
  const instant = nanoseconds === 0 ? undefined : knownInstant(at);
  return instant === undefined ? at : withOffset(instantAfter(instant, nanoseconds));
}

function refuse(): never {
  throw ApplicationFailure.nonRetryable(
    'This worker has no delivery log, so it does not know what was told. Set "deliveryLog" in the configuration of all workers.',
    'NoDeliveryLog',
  );
}
