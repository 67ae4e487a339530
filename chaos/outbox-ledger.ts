import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { withClient } from '../demo/postgres.ts';
import type { RecordedRequest } from '../demo/recorder.ts';

/** Who has changes, and how many: each person's are numbered from 1 in the order of their commits. */
export interface Writing {
  readonly people: readonly string[];
  readonly rows: number;
  readonly connections: number;
}

/** The lock that an application takes on whom it changes; `n` is how often that was committed. */
const PEOPLE = 'CREATE TABLE people (id text PRIMARY KEY, n integer NOT NULL DEFAULT 0)';
const CHANGE = `WITH person AS (UPDATE people SET n = n + 1 WHERE id = $1 RETURNING id, n)
INSERT INTO audience_changes (audience, user_id, event, profile)
SELECT 'vip', id, CASE WHEN n % 2 = 1 THEN 'enter' ELSE 'exit' END, jsonb_build_object('n', n) FROM person`;

/** Changes people at random by several connections at once, some in transactions that take their time and some that are rolled back. */
export async function writeChanges(url: string, { people, rows, connections }: Writing): Promise<Map<string, number>> {
  await withClient(url, async (client) => {
    await client.query(PEOPLE);
    await client.query('INSERT INTO people SELECT unnest($1::text[])', [people]);
  });
  let left = rows;
  const writer = async (client: Client): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const person = people[Math.floor(Math.random() * people.length)];
      const chance = Math.random();
      if (chance > 0.05) {
        await client.query(CHANGE, [person]);
        continue;
      }
      await client.query('BEGIN');
      await client.query(CHANGE, [person]);
      await sleep(chance * 100);
      const isUndone = chance < 0.01;
      if (isUndone) left += 1;
      await client.query(isUndone ? 'ROLLBACK' : 'COMMIT');
    }
  };
  await Promise.all(Array.from({ length: connections }, async () => await withClient(url, writer)));
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ id: string; n: number }>('SELECT id, n FROM people');
    return new Map(rows.map(({ id, n }) => [id, n]));
  });
}

/** How many rows wait. */
export async function rowsLeft(url: string): Promise<number> {
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM audience_changes');
    return Number(rows[0]?.count);
  });
}

export interface OutboxVerdict {
  readonly arrived: number;
  readonly lost: number;
  /** Changes that first arrived after a younger one of their person. */
  readonly outOfOrder: number;
  readonly repeated: number;
}

/** Holds what arrived, with bodies, against what was committed. */
export function judgeChanges(
  entries: readonly RecordedRequest[],
  committed: ReadonlyMap<string, number>,
): OutboxVerdict {
  const seen = new Map<string, Set<number>>();
  let outOfOrder = 0;
  let repeated = 0;
  for (const { message, body = '' } of entries) {
    const n = Number(/"n":(\d+)/.exec(body)?.[1]);
    if (message === undefined || !committed.has(message.user)) continue;
    const own = seen.get(message.user) ?? new Set();
    seen.set(message.user, own);
    if (own.has(n)) repeated += 1;
    // Those of a person are numbered without a gap.
    else if (n !== own.size + 1) outOfOrder += 1;
    own.add(n);
  }
  const arrived = [...seen.values()].reduce((sum, { size }) => sum + size, 0);
  const expected = [...committed.values()].reduce((sum, n) => sum + n, 0);
  return { arrived, lost: expected - arrived, outOfOrder, repeated };
}

/** What can be killed. */
export interface Victim {
  kill(): Promise<void>;
}

/** Kills one of several at random, by SIGKILL, now and then, and starts another in its place, until `isOver`. */
export async function killAtRandom(
  start: () => Promise<Victim>,
  count: number,
  isOver: () => Promise<boolean>,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number } = { fromMs: 300, toMs: 1_800 },
): Promise<{ readonly kills: number; readonly alive: readonly Victim[] }> {
  const alive = await Promise.all(Array.from({ length: count }, start));
  let kills = 0;
  while (!(await isOver())) {
    await sleep(fromMs + Math.random() * (toMs - fromMs));
    const place = Math.floor(Math.random() * count);
    await alive[place]?.kill();
    kills += 1;
    alive[place] = await start();
  }
  return { kills, alive };
}
