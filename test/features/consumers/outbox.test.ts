import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { request } from 'undici';
import { judgeChanges, killAtRandom, rowsLeft, writeChanges } from '../../../chaos/outbox-ledger.ts';
import { outboxSchema } from '../../../src/features/consumers/config.ts';
import { startOutbox } from '../../../src/features/consumers/outbox.ts';
import type { RunningConsumer } from '../../../src/features/consumers/handover.ts';
import { Lab, labOfFile, VIP } from '../../support/lab.ts';
import { until } from '../../support/patience.ts';
import { type TestDatabase, TestPostgres } from '../../support/postgres.ts';
import { type Program, startTriggers, triggers } from '../../support/triggers-cli.ts';
import { Way } from '../../support/way.ts';
import { expectServed, type Said, worldOf } from './a-consumer.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const sql = (name: string): string =>
  readFileSync(new URL(`../../../examples/postgres/${name}.sql`, import.meta.url), 'utf8');

let database: TestDatabase;
let job: string;
const running: RunningConsumer[] = [];

const [lab, postgres] = await Promise.all([labOfFile({ receiver: { keepBodies: true } }), TestPostgres.start()]);
afterAll(() => postgres.stop());
beforeEach(async () => {
  database = await postgres.withOutbox();
  job = await lab.start({ parallelRequestCount: 20 });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((consumer) => consumer.stop()));
  await lab.jobs.stop(job, { waiting: 'discard' });
});

/** Told about this job alone: other tests' jobs subscribe to the same audiences. Null: about all that listen. */
async function consume(
  options: object = {},
  jobs: readonly string[] | null = [job],
): Promise<{ consumer: RunningConsumer; log: Said; metrics: () => Promise<string> }> {
  const url = database.url.replace(/\/\/[^@]*@/, '//audience_triggers_outbox@');
  const config = outboxSchema.parse({ url, pollMs: 200, jobs: jobs ?? undefined, ...options });
  const { handover, log, metrics } = worldOf(lab, jobs ?? undefined);
  const consumer = await startOutbox({ config, handover, log, metrics });
  running.push(consumer);
  return { consumer, log, metrics: () => metrics.text() };
}

let people = 0;
const person = (): string => `outbox-${++people}`;

const INSERT = 'INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ($1, $2, $3, $4)';
async function write(user: string, event: string, profile: object | null = {}, client?: Client): Promise<void> {
  const values = ['vip', user, event, profile === null ? null : JSON.stringify(profile)];
  await (client ?? database).query(INSERT, values);
}

const told = (user: string): (string | undefined)[] =>
  lab.receiver.ledger.entries.filter(({ message }) => message?.user === user).map(({ message }) => message?.event);
const rows = async (): Promise<Record<string, unknown>[]> =>
  await database.query(
    'SELECT user_id, problem, accepted_at IS NOT NULL AS accepted FROM audience_changes ORDER BY id',
  );

/** When the consumer was last heard of by the database, and what it asked for then. */
async function lastAsked(): Promise<{ readonly at: unknown; readonly query: unknown }> {
  const [{ at, query } = {}] = await database.query(
    `SELECT state_change::text AS at, query FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'audience-triggers' AND state = 'idle'`,
  );
  return { at, query };
}

async function session(use: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

describe('committed rows', () => {
  test('the consumer sends and then deletes committed rows, and never sends rolled-back ones', async () => {
    await consume();
    const [kept, undone] = [person(), person()];
    await session(async (client) => {
      await client.query('BEGIN');
      await write(undone, 'enter', {}, client);
      await client.query('ROLLBACK');
      await client.query('BEGIN');
      await write(kept, 'enter', { n: 1 }, client);
      await client.query('COMMIT');
    });
    await lab.arrives(kept);
    await until(async () => (await rows()).length === 0);
    expect([told(kept), told(undone)]).toEqual([['enter'], []]);
  });

  test('the consumer keeps the digits of numbers, and the time and order of rows', async () => {
    const user = person();
    await database.query(INSERT, ['vip', user, 'enter', '{"n": 12345678901234567890}']);
    await database.query("UPDATE audience_changes SET changed_at = '2026-11-27T08:00:00.123456Z'");
    const [{ id } = {}] = await database.query('SELECT id FROM audience_changes');
    await consume();
    await lab.arrives(user);
    const { body = '' } = lab.receiver.ledger.entries.find(({ message }) => message?.user === user) ?? {};
    expect(body).toContain('"n":12345678901234567890');
    expect(body).toContain(`2026-11-27T08:00:00.123456${String(Number(id) % 1000).padStart(3, '0')}Z`);
  });

  test('with "mark", the consumer keeps a row, and sends it once', async () => {
    const { consumer } = await consume({ accepted: 'mark' });
    const user = person();
    await write(user, 'enter');
    await until(async () => (await rows())[0]?.['accepted'] === true);
    await consumer.stop();
    await consume({ accepted: 'mark' });
    const other = person();
    await write(other, 'enter');
    await lab.arrives(other);
    expect([told(user), (await rows()).length]).toEqual([['enter'], 2]);
  });

  test('the consumer sends a row at once however seldom it polls, and ends without waiting for the next poll', async () => {
    const { consumer } = await consume({ pollMs: 60_000 });
    // It has looked once, and waits.
    await until(async () => (await lastAsked()).query === 'COMMIT');
    const user = person();
    const began = performance.now();
    await write(user, 'enter');
    await lab.arrives(user);
    await until(async () => (await rows()).length === 0);
    await consumer.stop();
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  test('the consumer finds a row without a notification, too', async () => {
    await database.query('DROP TRIGGER audience_changes_written ON audience_changes');
    await consume();
    const user = person();
    await write(user, 'enter');
    await lab.arrives(user);
  });
});

describe('order', () => {
  test("the consumer sends one person's changes in the order of their commits, whatever other transactions hold up", async () => {
    await consume();
    const [user, other] = [person(), person()];
    await session(async (slow) => {
      // A row with a lower id, which is committed much later.
      await slow.query('BEGIN');
      await write(other, 'enter', {}, slow);
      for (const event of ['enter', 'exit', 'enter', 'exit']) await write(user, event);
      await until(() => told(user).length === 4);
      expect([told(user), told(other)]).toEqual([['enter', 'exit', 'enter', 'exit'], []]);
      await slow.query('COMMIT');
    });
    await lab.arrives(other);
  });

  test('the trigger on memberships writes every change, and the consumer sends the first commit first', async () => {
    await database.query(sql('schema').replace(/-- A role that can only read[^]*/, ''));
    await database.query(sql('outbox-of-memberships'));
    await consume();
    const user = person();
    lab.source.setProfile(user, {});
    const enter = 'INSERT INTO audience_members VALUES ($1, $2)';
    const exit = 'DELETE FROM audience_members WHERE audience_id = $1 AND user_id = $2';
    await database.query(`INSERT INTO audiences VALUES ($1, 'very-important', 'Very important')`, [VIP.id]);
    await session(async (first) => {
      await first.query('BEGIN');
      await first.query(enter, [VIP.id, user]);
      // It waits for the first one's end.
      const second = database.query(exit, [VIP.id, user]);
      await first.query('COMMIT');
      await second;
    });
    // Whether the second one saw the row is the database's to say; afterwards nobody is a member.
    await database.query(exit, [VIP.id, user]);
    await until(() => told(user).length === 2);
    expect(told(user)).toEqual(['enter', 'exit']);
    await expect(database.query('TRUNCATE audience_members')).rejects.toThrow('Use DELETE FROM audience_members');
  });
});

describe('rows that are no triggers', () => {
  const poison = async (user: string) => {
    await database.query('ALTER TABLE audience_changes DROP CONSTRAINT audience_changes_event_check');
    await write(user, 'joined');
  };

  test('the consumer sets aside a row that is no trigger with the reason, and sends it once it is corrected', async () => {
    const { log, metrics } = await consume();
    const [wrong, right] = [person(), person()];
    await poison(wrong);
    await write(right, 'enter');
    await lab.arrives(right);
    await until(async () => (await rows()).length === 1);
    expect(await rows()).toEqual([{ user_id: wrong, problem: '"event" must be "enter" or "exit"', accepted: false }]);
    expect(log.lines).toEqual(['warn a row is no trigger; it was set aside']);
    expect(await metrics()).toContain('triggers_consumer_triggers_total{outcome="poisoned"} 1');
    await database.query("UPDATE audience_changes SET event = 'enter', problem = NULL");
    await lab.arrives(wrong);
  });

  test('the consumer sets aside a row with an oversized profile, and never reads it whole', async () => {
    await consume();
    const user = person();
    await write(user, 'enter', { text: 'x'.repeat(3_000_000) });
    await until(async () => (await rows())[0]?.['problem'] !== null);
    expect((await rows())[0]?.['problem']).toBe('its profile has more than 65536 bytes');
  });

  test('a consumer with named jobs sets aside a row unmatched by them, and sends it once it is corrected', async () => {
    const { log } = await consume();
    const user = person();
    await database.query(INSERT, ['vipp', user, 'enter', '{}']);
    const problem = 'none of the jobs in "outbox.jobs" subscribes to its audience';
    await until(async () => (await rows())[0]?.['problem'] !== null);
    expect(await rows()).toEqual([{ user_id: user, problem, accepted: false }]);
    expect(log.lines).toEqual(['warn a row is no trigger; it was set aside']);
    await database.query("UPDATE audience_changes SET audience = 'vip', problem = NULL");
    await lab.arrives(user);
  });

  test('a consumer for all jobs drops unmatched rows and logs it once; with "mark", they stay as not accepted', async () => {
    const audience = `nobody-${Date.now()}`;
    const { consumer, log, metrics } = await consume({}, null);
    for (let i = 0; i < 3; i++) await database.query(INSERT, [audience, person(), 'enter', '{}']);
    await until(async () => (await rows()).length === 0);
    expect(await metrics()).toContain('triggers_consumer_triggers_total{outcome="unmatched"} 3');
    expect(log.lines).toEqual(['warn dropped: no running job subscribes']);
    await consumer.stop();
    await consume({ accepted: 'mark' }, null);
    const user = person();
    await database.query(INSERT, [audience, user, 'enter', '{}']);
    const problem = 'no running job subscribes to its audience';
    await until(async () => (await rows())[0]?.['problem'] !== null);
    expect(await rows()).toEqual([{ user_id: user, problem, accepted: false }]);
  });

  test.each([
    ['a profile that is not JSON', "profile = 'not json'", 'its "profile" is not JSON'],
    ['a time that is none', "changed_at = 'infinity'", 'its "changed_at" is no time between the years 100 and 9999'],
  ])('the consumer sets aside %s, and sends the rows after it', async (_, wrong, problem) => {
    await database.query('ALTER TABLE audience_changes DROP CONSTRAINT audience_changes_profile_check');
    await database.query('ALTER TABLE audience_changes DROP CONSTRAINT audience_changes_user_id_check');
    await database.query('ALTER TABLE audience_changes ALTER profile TYPE text');
    await write(person(), 'enter');
    await database.query(`UPDATE audience_changes SET ${wrong}`);
    const right = person();
    await write(right, 'enter');
    const { log } = await consume();
    await lab.arrives(right);
    await until(async () => (await rows()).length === 1);
    expect(await rows()).toMatchObject([{ problem }]);
    expect(log.lines).toEqual(['warn a row is no trigger; it was set aside']);
  });

  test('with "stop", the consumer sends the rows before a wrong one, and later rows only once it is corrected', async () => {
    const { consumer, log, metrics } = await consume({ poisoned: 'stop' });
    const [before, wrong, after] = [person(), person(), person()];
    await write(before, 'enter');
    await poison(wrong);
    await write(after, 'enter');
    await lab.arrives(before);
    await until(() => consumer.problem !== undefined);
    expect(consumer.problem).toMatch(/^The row \d+ is no trigger: "event" must be/);
    await until(async () => (await rows()).length === 2);
    for (let turns = 0; turns < 3; turns++) {
      const { at } = await lastAsked();
      await until(async () => (await lastAsked()).at !== at);
    }
    expect(told(after)).toEqual([]);
    await database.query("UPDATE audience_changes SET event = 'exit' WHERE event = 'joined'");
    await until(() => told(after).length === 1);
    expect([told(wrong), consumer.problem]).toEqual([['exit'], undefined]);
    // Once, however often it is read.
    expect(log.lines).toEqual([
      'error a row is no trigger; nothing more is sent until it is corrected',
      'info the outbox is read again',
    ]);
    expect(await metrics()).toContain('triggers_consumer_triggers_total{outcome="poisoned"} 1');
  });
});

describe('when something breaks', () => {
  test('the consumer continues after a database restart, and loses nothing', async () => {
    const { consumer, log } = await consume();
    const user = person();
    await write(user, 'enter');
    await lab.arrives(user);
    await postgres.server.restart();
    await until(() => consumer.problem !== undefined);
    await until(() => consumer.problem === undefined);
    await write(user, 'exit');
    await until(() => told(user).length === 2);
    expect(told(user)).toEqual(['enter', 'exit']);
    expect(log.lines[0]).toBe('warn the outbox cannot be read; it is tried again');
  });

  test.each([
    ['a table that is not there', { table: 'no_such_table' }, /no_such_table" does not exist.*outbox.sql/],
    ['a column that is not there', { table: 'pg_class' }, /does not exist/],
  ])('the consumer reports %s at its start', async (_, options, words) => {
    await expect(consume(options)).rejects.toThrow(words);
  });

  test.each([
    ['DELETE', {}, 'DELETE'],
    ['UPDATE', {}, 'UPDATE (problem)'],
    ['UPDATE', { accepted: 'mark' }, 'UPDATE (accepted_at), UPDATE (problem)'],
  ])(
    'a role without %s on the table is refused at the start, before anything is sent, with the grant',
    async (right, options, missing) => {
      const user = person();
      await write(user, 'enter');
      await database.query(`REVOKE ${right} ON audience_changes FROM audience_triggers_outbox`);
      const grant = `GRANT ${missing} ON "audience_changes" TO audience_triggers_outbox`;
      await expect(consume(options)).rejects.toThrow(grant);
      await database.query(grant);
      await consume(options);
      await lab.arrives(user);
      expect(told(user)).toEqual(['enter']);
    },
  );

  test('the consumer sends more rows than fit into a turn, and reports the oldest waiting row as a metric', async () => {
    const { metrics } = await consume({}, ['nobody-yet']);
    await database.query(
      `INSERT INTO audience_changes (audience, user_id, event, profile, changed_at)
       SELECT 'vip', 'many-' || i % 50, CASE WHEN (i / 50) % 2 = 0 THEN 'enter' ELSE 'exit' END, '{}', to_timestamp(1000000 + i)
       FROM generate_series(0, 1299) AS i`,
    );
    await until(async () =>
      /oldest_waiting_timestamp_seconds\{table="audience_changes"\} 1000000\n/.test(await metrics()),
    );
    await running.splice(0)[0]?.stop();
    // All of it in one go, and not a part whenever the table is looked at.
    const began = performance.now();
    const second = await consume({ pollMs: 60_000 });
    await until(() => ['many-0', 'many-49'].every((user) => told(user).length === 26));
    await until(async () => (await rows()).length === 0);
    expect(performance.now() - began).toBeLessThan(50_000);
    await until(async () => !/oldest_waiting_timestamp_seconds\{/.test(await second.metrics()));
    for (const user of ['many-0', 'many-49'])
      expect(told(user)).toEqual(Array.from({ length: 26 }, (_, i) => (i % 2 === 0 ? 'enter' : 'exit')));
  });
});

describe('triggers consume outbox', () => {
  let lab: Lab;
  let folder: string;
  beforeAll(async () => {
    folder = tempFolder();
    lab = await Lab.open({ receiver: { keepBodies: true } });
  });
  afterAll(async () => {
    await lab.close();
  });

  async function consumer(
    jobs: readonly string[],
    options: readonly string[] = [],
    more: object = {},
  ): Promise<Program> {
    const file = join(folder, 'triggers.config.json');
    writeFileSync(file, JSON.stringify({ outbox: { url: '${env:DATABASE_URL}', jobs } }));
    const env = { TRIGGERS_CONFIG: file, TRIGGERS_TASK_QUEUE: lab.taskQueue, DATABASE_URL: database.url, ...more };
    const program = startTriggers(['consume', 'outbox', '--json', ...options], { env });
    await program.says(({ stdout }) => stdout.endsWith('\n'));
    return program;
  }

  test('consumers send every commit, in order per person, although they are killed at random', async () => {
    const job = await lab.start({ parallelRequestCount: 50 });
    const people = Array.from({ length: 200 }, (_, i) => `consumed-${i}`);
    let writing: ReturnType<typeof writeChanges> | undefined;
    let isWritten = false;
    const { kills, alive } = await killAtRandom(
      async () => await consumer([job]),
      2,
      async () => {
        // Not before both consumers run: on a fast machine one would be done before the other began.
        writing ??= writeChanges(database.url, { people, rows: 6_000, connections: 4 }).finally(
          () => (isWritten = true),
        );
        return isWritten && (await rowsLeft(database.url)) === 0;
      },
    );
    const counts = (await writing) ?? new Map<string, number>();
    await until(() => judgeChanges(lab.receiver.ledger.entries, counts).lost === 0);
    await Promise.all(alive.map((program) => program.kill()));
    expect(kills).toBeGreaterThan(0);
    expect(judgeChanges(lab.receiver.ledger.entries, counts)).toMatchObject({ arrived: 6_000, lost: 0, outOfOrder: 0 });
  });

  test('a consumer reports its health, names no person, ends cleanly, and has the documented metrics', async () => {
    const job = await lab.start();
    const program = await consumer([job], ['--port', '0']);
    await database.query(
      `INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', 'canary-1', 'enter', '{}')`,
    );
    await lab.arrives('canary-1');
    await expectServed(program, 'outbox', 'canary-1');
    program.signal('SIGTERM');
    const { code, stderr } = await program.end();
    expect([code, stderr]).toEqual([0, '']);
  });

  test('a consumer ends within ten seconds even if Temporal accepts connections and never answers', async () => {
    const way = new Way();
    await way.open();
    const job = await lab.start();
    const program = await consumer([job], ['--port', '0'], { TEMPORAL_ADDRESS: way.address });
    const { metricsUrl } = JSON.parse(program.stdout) as { metricsUrl: string }; // As `consume --json` says it.
    way.silence();
    await database.query(
      `INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', 'silent-1', 'enter', '{}')`,
    );
    const ready = async (): Promise<number> => {
      const { statusCode, body } = await request(new URL('/readyz', metricsUrl));
      await body.dump();
      return statusCode;
    };
    await until(async () => (await ready()) === 503);
    const askedAt = performance.now();
    program.signal('SIGTERM');
    expect((await program.end()).code).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(10_000);
    await way.close();
    expect(await database.query(`DELETE FROM audience_changes WHERE user_id = 'silent-1' RETURNING id`)).toHaveLength(
      1,
    );
  });

  test('the consumer says what is missing when no outbox is configured', async () => {
    const { code, stderr } = await triggers(['consume', 'outbox'], { fails: true });
    expect([code, stderr]).toEqual([2, expect.stringContaining('No outbox is configured')]);
  });
});
