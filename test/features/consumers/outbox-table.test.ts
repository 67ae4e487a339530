import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { withClient } from '../../../demo/postgres.ts';
import { outboxSchema } from '../../../src/features/consumers/config.ts';
import { ConsumerMetrics, type Handover } from '../../../src/features/consumers/handover.ts';
import { type OutboxRow, OutboxTable, type RowsDone } from '../../../src/features/consumers/outbox-table.ts';
import { startOutbox } from '../../../src/features/consumers/outbox.ts';
import { readPostgresUrl } from '../../../src/postgres/connection.ts';
import { until } from '../../support/patience.ts';
import { type TestDatabase, TestPostgres } from '../../support/postgres.ts';
import { Way } from '../../support/way.ts';
import { Said } from './a-consumer.ts';

const OWN = `datname = current_database() AND application_name = 'audience-triggers'`;

let database: TestDatabase;
const ends: (() => unknown)[] = [];
const postgres = await TestPostgres.start();
afterAll(() => postgres.stop());
beforeEach(async () => {
  database = await postgres.withOutbox();
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Place {
  readonly host: string;
  readonly port: number;
}

/** The URL of the database, by another way if need be. */
function urlBy(way?: Place): string {
  const url = new URL(database.url);
  if (way !== undefined) url.host = `${way.host}:${way.port}`;
  return url.href;
}

interface Opening {
  readonly settings?: object;
  readonly way?: Place;
  readonly onWritten?: () => void;
  readonly times?: { silenceMs: number; keepAliveMs: number };
}

async function open({ settings = {}, way, onWritten = () => undefined, times }: Opening = {}): Promise<OutboxTable> {
  const url = urlBy(way);
  const reading = readPostgresUrl(url);
  if (!reading.ok) throw new Error(reading.problem);
  const config = outboxSchema.parse({ url, ...settings });
  const table = await OutboxTable.connect(reading.address, config, onWritten, new AbortController().signal, times);
  ends.push(async () => await table.close());
  return table;
}

async function aWay() {
  const way = new Way(new URL(database.url).host);
  await way.open();
  ends.push(() => way.close());
  return way;
}

const write = async (user = 'u', table = 'audience_changes'): Promise<unknown> =>
  await database.query(`INSERT INTO ${table} (audience, user_id, event) VALUES ('vip', $1, 'enter')`, [user]);

const all = async (rows: readonly OutboxRow[]): Promise<RowsDone> =>
  await Promise.resolve({ accepted: rows.map(({ id }) => id), setAside: [] });

/** Holds a turn until it is over. */
const untilOver = async (_: unknown, isOver: AbortSignal): Promise<RowsDone> => {
  if (!isOver.aborted) await once(isOver, 'abort');
  throw isOver.reason;
};

async function sessions(condition = 'true'): Promise<number> {
  const [{ n } = {}] = await database.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE ${OWN} AND ${condition}`,
  );
  return Number(n);
}

describe('a turn', () => {
  const times = { silenceMs: 4_000, keepAliveMs: 200 };

  test('a turn lasts as long as it takes, although the database ends silent connections', async () => {
    const table = await open({ times });
    await write();
    const read = await table.inTurn(10, async (rows, isOver) => {
      await sleep(1.5 * times.silenceMs);
      expect(isOver.aborted).toBe(false);
      return await all(rows);
    });
    expect([read, await database.query('SELECT FROM audience_changes')]).toEqual([1, []]);
  });

  test('a turn ends when its machine falls silent: another consumer goes on, and the first one notices', async () => {
    const way = await aWay();
    const gone = await open({ way, times, settings: { statementTimeoutMs: 1_000 } });
    const other = await open();
    await write();
    let hasTurn = false;
    const turn = gone.inTurn(10, async (rows, isOver) => {
      hasTurn = true;
      return await untilOver(rows, isOver);
    });
    const ending = turn.catch((error: unknown) => error);
    await until(() => hasTurn);
    expect(await other.inTurn(10, all)).toBe(undefined);
    way.silence();
    const silentAtMs = performance.now();
    await until(async () => (await other.inTurn(10, all)) === 1);
    expect(await ending).toMatchObject({ name: 'OutboxError' });
    expect(performance.now() - silentAtMs).toBeLessThan(30_000);
  });

  test('a turn belongs to one table, and does not block the turns of other tables', async () => {
    await database.query('CREATE TABLE others (LIKE audience_changes INCLUDING ALL)');
    const [table, other] = [await open(), await open({ settings: { table: 'others' } })];
    await write('u', 'others');
    const read = await table.inTurn(10, async (rows) => {
      expect(await other.inTurn(10, all)).toBe(1);
      return await all(rows);
    });
    expect(read).toBe(0);
  });

  test('a turn waits no longer than the statement timeout, and the database cancels its statement', async () => {
    const table = await open({ settings: { statementTimeoutMs: 500 } });
    await withClient(database.url, async (client) => {
      await client.query('BEGIN');
      await client.query('LOCK TABLE audience_changes');
      await expect(table.inTurn(10, all)).rejects.toMatchObject({ code: '57014' });
    });
  });

  test('a turn gives up in time on a database that fell silent, also when it closes', async () => {
    const way = await aWay();
    const [asking, idle] = [await open({ way, settings: { statementTimeoutMs: 500 } }), await open({ way })];
    way.silence();
    const began = performance.now();
    await expect(asking.inTurn(10, all)).rejects.toThrow('cannot be read');
    await Promise.all([asking.close(), idle.close()]);
    expect(performance.now() - began).toBeLessThan(30_000);
  });
});

describe('rows as the table reads them', () => {
  test('the table reads only enough of an oversized row to show that it is too large', async () => {
    await database.query('CREATE TABLE anything (LIKE audience_changes INCLUDING IDENTITY)');
    await database.query(
      `INSERT INTO anything (audience, user_id, event, profile, changed_at)
       VALUES (repeat('a', 1000000), repeat('u', 1000000), 'enter', jsonb_build_object('x', repeat('y', 1000000)), now())`,
    );
    const table = await open({ settings: { table: 'anything' } });
    let read: readonly OutboxRow[] = [];
    await table.inTurn(10, async (rows) => await all((read = rows)));
    expect(read).toMatchObject([{ audience: 'a'.repeat(300), user: 'u'.repeat(300), profile: null, isTooLarge: true }]);
  });
});

describe('a connection', () => {
  test('the consumer closes its connection when the table is unusable', async () => {
    await expect(open({ settings: { table: 'pg_class' } })).rejects.toThrow('does not exist');
    await until(async () => (await sessions()) === 0);
  });

  test('the consumer notices at once when its idle connection is lost', async () => {
    let heard = 0;
    await open({ onWritten: () => (heard += 1) });
    await database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${OWN}`);
    await until(() => heard > 0);
  });
});

describe('a consumer', () => {
  type Give = Handover['give'];

  async function consume(settings: object, give: Give, way?: Place) {
    const url = urlBy(way);
    const log = new Said();
    const consumer = await startOutbox({
      config: outboxSchema.parse({ url, pollMs: 60_000, ...settings }),
      handover: { give, isSubscribed: async () => await Promise.resolve(true) },
      log,
      metrics: new ConsumerMetrics(),
    });
    ends.push(async () => await consumer.stop());
    return { consumer, log };
  }

  test('a consumer polls once more for rows written while it read, and then waits for the next row', async () => {
    const looks: number[] = [];
    let isHeld = true;
    await consume({}, async (triggers) => {
      looks.push(triggers.length);
      if (triggers.length > 0) await until(() => !isHeld);
      return [];
    });
    await until(async () => (await sessions(`query = 'COMMIT'`)) === 1);
    await write('first');
    await until(() => looks.at(-1) === 1);
    await write('second');
    // By then the database has told of it.
    await withClient(database.url, async (client) => {
      await client.query('LISTEN audience_changes');
      const told = once(client, 'notification');
      await client.query('NOTIFY audience_changes');
      await told;
    });
    isHeld = false;
    const began = performance.now();
    await until(async () => (await database.query('SELECT FROM audience_changes')).length === 0);
    // And not when it looks the next time.
    expect(performance.now() - began).toBeLessThan(50_000);
    const soFar = looks.length;
    await sleep(500);
    // What it was told of during the last look is looked at once.
    expect(looks.length - soFar).toBeLessThanOrEqual(2);
  });

  test('a consumer backs off while the database is away, retries soon after it was back, and logs that once', async () => {
    const way = await aWay();
    way.cut();
    const { consumer, log } = await consume({}, async () => await Promise.resolve([]), way);
    const { triedAtMs } = way;
    // At once after the start, and then after a quarter, half, one and two seconds.
    await until(() => triedAtMs.length >= 6);
    expect(triedAtMs[5]! - triedAtMs[0]!).toBeGreaterThan(3_500);
    expect(log.lines).toEqual(['warn the outbox cannot be read; it is tried again']);
    way.restore();
    await until(() => consumer.problem === undefined);
    triedAtMs.splice(0);
    const cutAtMs = performance.now();
    way.cut();
    await until(() => triedAtMs.length > 0);
    // After a quarter of a second, and not after eight.
    expect(triedAtMs[0]! - cutAtMs).toBeLessThan(7_000);
  });

  test.each([
    ['waits', {}],
    ['asks', { pollMs: 100, statementTimeoutMs: 60_000 }],
  ])('a consumer that %s when its database falls silent ends in time', async (_, settings) => {
    const way = await aWay();
    const { consumer } = await consume(settings, async () => await Promise.resolve([]), way);
    await until(async () => (await sessions(`query = 'COMMIT'`)) === 1);
    way.silence();
    await sleep(300);
    const began = performance.now();
    await consumer.stop();
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  test('a consumer that waits for a connection ends at once', async () => {
    const way = await aWay();
    way.silence();
    const { consumer } = await consume({ connectTimeoutMs: 5_000 }, async () => await Promise.resolve([]), way);
    expect(consumer.problem).toMatch('cannot be read');
    const began = performance.now();
    await consumer.stop();
    expect(performance.now() - began).toBeLessThan(4_500);
  });
});

describe('the schema', () => {
  const sql = (name: string): string =>
    readFileSync(new URL(`../../../examples/postgres/${name}.sql`, import.meta.url), 'utf8');

  const INSERT = 'INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ($1, $2, $3, $4)';

  test('the table refuses a row that can never be a trigger, and undoes its transaction', async () => {
    const long = 'x'.repeat(255);
    await database.query(INSERT, [long, long, 'enter', null]);
    await database.query(INSERT, ['v', 'u', 'exit', '{}']);
    const refusal = async (values: readonly unknown[]): Promise<string> =>
      await withClient(database.url, async (client) => {
        await client.query('BEGIN');
        await client.query(INSERT, ['v', 'beside', 'enter', null]);
        const refused = await client.query(INSERT, [...values]).then(
          () => '',
          ({ message }: Error) => message,
        );
        await client.query('COMMIT');
        return refused;
      });
    for (const [column, values] of [
      ['audience', ['', 'u', 'enter', '{}']],
      ['audience', [`${long}x`, 'u', 'enter', '{}']],
      ['user_id', ['vip', '', 'enter', '{}']],
      ['user_id', ['vip', `${long}x`, 'enter', '{}']],
      ['event', ['vip', 'u', 'joined', '{}']],
      ['profile', ['vip', 'u', 'enter', '[1]']],
      ['profile', ['vip', 'u', 'enter', 'null']],
    ] as const)
      expect(await refusal(values)).toContain(`"audience_changes_${column}_check"`);
    for (const [column, values] of [
      ['audience', [null, 'u', 'enter', '{}']],
      ['user_id', ['vip', null, 'enter', '{}']],
      ['event', ['vip', 'u', null, '{}']],
    ] as const)
      expect(await refusal(values)).toContain(`column "${column}"`);
    expect(await database.query('SELECT FROM audience_changes')).toHaveLength(2);
  });

  test('the time of a change is that of its row, not of the beginning of its transaction', async () => {
    await withClient(database.url, async (slow) => {
      await slow.query('BEGIN');
      await database.query(INSERT, ['vip', 'u', 'enter', null]);
      // Later, in a transaction that began earlier.
      for (const event of ['exit', 'enter']) await slow.query(INSERT, ['vip', 'u', event, null]);
      await slow.query('COMMIT');
    });
    const rows = await database.query(
      'SELECT event, changed_at > lag(changed_at) OVER (ORDER BY id) AS later FROM audience_changes ORDER BY id',
    );
    expect(rows).toEqual([
      { event: 'enter', later: null },
      { event: 'exit', later: true },
      { event: 'enter', later: true },
    ]);
  });

  /** As a table is after a while with "accepted": "mark". */
  const fill = async (rows: number): Promise<void> =>
    void (await database.query(
      `INSERT INTO audience_changes (audience, user_id, event, accepted_at)
     SELECT 'vip', 'u' || i, 'enter', now() FROM generate_series(1, ${rows}) AS i`,
    ));

  test('the table does not reread rows that are kept, however many they are', async () => {
    await fill(20_000);
    await database.query('VACUUM ANALYZE audience_changes');
    const readSoFar = async (): Promise<{ readonly looks: number; readonly rows: number }> => {
      const [{ looks, rows } = {}] = await database.query(
        `SELECT seq_scan + coalesce(idx_scan, 0) AS looks, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
       FROM pg_stat_user_tables WHERE relname = 'audience_changes'`,
      );
      return { looks: Number(looks), rows: Number(rows) };
    };
    const before = await readSoFar();
    const reading = readPostgresUrl(database.url);
    if (!reading.ok) throw new Error(reading.problem);
    const config = outboxSchema.parse({ url: database.url, accepted: 'mark' });
    const table = await OutboxTable.connect(reading.address, config, () => undefined, new AbortController().signal);
    await database.query(INSERT, ['vip', 'new', 'enter', null]);
    for (const expected of [1, 0, 0]) {
      const read = await table.inTurn(500, async (rows) =>
        Promise.resolve({ accepted: rows.map(({ id }) => id), setAside: [] }),
      );
      expect(read).toBe(expected);
    }
    await table.close();
    // The database counts what a connection has done at its end at the latest.
    await until(async () => (await readSoFar()).looks >= before.looks + 4);
    expect((await readSoFar()).rows - before.rows).toBeLessThan(1_000);
  });

  test('the database cleans up the table after every ten thousand done rows, however many are kept', async () => {
    const kept = 80_000;
    await fill(kept);
    await database.query('VACUUM ANALYZE audience_changes');
    const cleanings = async (): Promise<number> => {
      const [{ n } = {}] = await database.query(
        `SELECT autovacuum_count AS n FROM pg_stat_user_tables WHERE relname = 'audience_changes'`,
      );
      return Number(n);
    };
    const before = await cleanings();
    // By default it would be after a fifth of them: 16,000.
    await database.query('UPDATE audience_changes SET accepted_at = now() WHERE id <= 12000');
    await database.query("ALTER SYSTEM SET autovacuum_naptime = '1s'");
    await database.query('SELECT pg_reload_conf()');
    await until(async () => (await cleanings()) > before);
  });

  test('the trigger on memberships writes a renamed one as exit and enter, and an unchanged one not at all', async () => {
    await database.query(
      sql('schema')
        .replace(/-- A role that can only read[^]*/, '')
        .replace(/INSERT INTO[^]*/, ''),
    );
    await database.query(sql('outbox-of-memberships'));
    const [vip, gold] = ['3b9ac1f2-d7e8-4c05-a6e1-f09d582b7c34', '8e21d0c4-5f6a-4b3e-9d17-c2a0b48f6e95'];
    await database.query(`INSERT INTO audiences VALUES ($1, 'vip', 'VIP'), ($2, 'gold', 'Gold')`, [vip, gold]);
    await database.query('INSERT INTO audience_members VALUES ($1, $2), ($1, $3)', [vip, 'sam', 'kim']);
    const written = async (): Promise<unknown[]> =>
      (
        await database.query(
          `WITH gone AS (DELETE FROM audience_changes RETURNING *)
         SELECT concat_ws(' ', event, user_id, CASE replace($1, '-', '') WHEN audience THEN 'vip' ELSE 'gold' END) AS told FROM gone ORDER BY id`,
          [vip],
        )
      ).map(({ told }) => told);
    expect(await written()).toEqual(['enter sam vip', 'enter kim vip']);
    await database.query("UPDATE audience_members SET user_id = 'robin' WHERE user_id = 'sam'");
    expect(await written()).toEqual(['exit sam vip', 'enter robin vip']);
    await database.query("UPDATE audience_members SET audience_id = $1 WHERE user_id = 'kim'", [gold]);
    expect(await written()).toEqual(['exit kim vip', 'enter kim gold']);
    await database.query('UPDATE audience_members SET user_id = user_id, audience_id = audience_id');
    expect(await written()).toEqual([]);
  });
});
