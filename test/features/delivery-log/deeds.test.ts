import { expect, test } from '@jest/globals';
import type { LoggedDeed } from '../../../src/contract/audit.ts';
import { storedDeed } from '../../../src/features/delivery-log/deeds.ts';
import { openPersonRemoval } from '../../../src/features/delivery-log/open-log.ts';
import { deedInWords } from '../../../src/words/audit.ts';
import { sealingWith } from '../../../src/temporal/sealed-text.ts';
import { afterwards } from '../../webhook/a-server.ts';
import { aDelivery } from './a-delivery.ts';
import { aLog, KINDS, type LogKind } from './a-log.ts';

const DAY_MS = 24 * 3_600_000;
const KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`;

async function logIn(kind: LogKind, keys: string[] = []) {
  const log = await aLog(kind, { keys });
  const { seal } = sealingWith(keys);
  return { ...log, store: log.open('one', 30), stored: (id: string, deed: LoggedDeed) => storedDeed(id, deed, seal) };
}

const atOf = (agoMs: number): string => new Date(Date.now() - agoMs).toISOString();
const pauseOf = (jobId: string, agoMs: number, more: Partial<LoggedDeed> = {}): LoggedDeed => ({
  at: atOf(agoMs),
  kind: 'job',
  target: jobId,
  jobId,
  action: 'pause',
  who: 'ada',
  door: 'cli',
  ...more,
});

for (const kind of KINDS) {
  test(`${kind} tells every deed as it was, newest first and page by page, also without any delivery`, async () => {
    const { store, reader, stored } = await logIn(kind);
    const edit = pauseOf('crm', 3_000, {
      action: 'edit',
      revision: 2,
      reason: 'their\u2028database moves ✓',
      changes: [{ field: 'label', from: 'Before', to: ['"', null, 1] }],
    });
    const signIn: LoggedDeed = {
      at: atOf(2_000),
      kind: 'session',
      target: 'console',
      action: 'sign-in',
      door: 'console',
    };
    const stop = pauseOf('news', 1_000, { action: 'stop', who: 'ops', waiting: 'keep' });
    const deeds = [edit, signIn, stop].map((deed, i) => stored(`run ${i}`, deed));
    await store.write({ number: 1, rows: [], deeds, dropped: 0 });
    const first = await reader.deeds({}, 2);
    expect(first.entries).toEqual([stop, signIn]);
    expect(await reader.deeds({}, 2, first.next)).toEqual({ entries: [edit] });
    const told = async (filter: Parameters<typeof reader.deeds>[0]) => (await reader.deeds(filter, 9)).entries;
    expect(await told({ jobId: 'crm' })).toEqual([edit]);
    expect(await told({ onlyJobs: ['news', 'other'] })).toEqual([stop]);
    expect(await told({ onlyJobs: [] })).toEqual([]);
    expect(await told({ who: 'ada' })).toEqual([edit]);
    expect(await told({ since: signIn.at, until: stop.at })).toEqual([signIn]);
  });

  test(`in ${kind}, a deed that is told twice has one row, as it was told last`, async () => {
    const { store, reader, stored } = await logIn(kind);
    const [first, again, later] = [30, 20, 10].map((agoMs) => pauseOf('crm', agoMs, { reason: `${agoMs}` }));
    const one = stored('run 1', first ?? pauseOf('crm', 0));
    await store.write({ number: 1, rows: [], deeds: [one, stored('run 1', again ?? pauseOf('crm', 0))], dropped: 0 });
    expect((await reader.deeds({}, 9)).entries).toEqual([again]);
    await store.write({ number: 2, rows: [], deeds: [stored('run 1', later ?? pauseOf('crm', 0))], dropped: 0 });
    await store.write({ number: 2, rows: [], deeds: [one], dropped: 0 });
    expect((await reader.deeds({}, 9)).entries).toEqual([later]);
  });

  test(`${kind} keeps deeds for 400 days, although deliveries go sooner`, async () => {
    const { store, open, reader, stored } = await logIn(kind);
    const [expired, old] = [pauseOf('crm', 401 * DAY_MS), pauseOf('crm', 399 * DAY_MS)];
    const deeds = [stored('run 1', expired), stored('run 2', old)];
    await store.write({ number: 1, rows: [aDelivery({ at: atOf(0) })], deeds, dropped: 0 });
    // Another writer begins its day.
    await open('next', 30).write({ number: 1, rows: [], deeds: [], dropped: 0 });
    expect((await reader.deeds({}, 9)).entries).toEqual([old]);
  });

  test(`${kind} takes any text, and with payload keys shows why and what changed only to who has the key`, async () => {
    const { store, reader, readerWith, stored } = await logIn(kind, [KEY]);
    const changes = [{ field: 'label', from: 'old\0\ud800', to: 'new' }] as const;
    const deed = pauseOf('crm', 0, { who: 'a\0b\ud800', reason: 's3cret', changes });
    await store.write({ number: 1, rows: [aDelivery({ at: atOf(0) })], deeds: [stored('run 1', deed)], dropped: 0 });
    expect((await reader.deeds({}, 9)).entries).toEqual([{ ...deed, who: 'a\uFFFDb\uFFFD' }]);
    const { reason: _, changes: _changes, ...bare } = deed;
    expect((await readerWith([]).deeds({}, 9)).entries).toEqual([{ ...bare, who: 'a\uFFFDb\uFFFD' }]);
  });
}

test('[S22] a log keeps no URL whole that somebody gave Temporal as a reason, or as who asks', () => {
  const by = { who: 'see https://a.example/s3cret', reason: 'as in https://b.example/hook?token=s3cret' };
  const stored = storedDeed('1', pauseOf('crm', 0, by), undefined);
  expect(JSON.stringify(stored)).not.toContain('s3cret');
  expect(stored).toContain('as in https://b.example/…?token=…');
});

for (const kind of KINDS) {
  test(`${kind} keeps a record of a person who was removed, which only the key of that time finds`, async () => {
    const { place, reader, store } = await logIn(kind, [KEY]);
    const removal = openPersonRemoval(place);
    afterwards(async () => await removal.close());
    const { seal, digests } = sealingWith([KEY]);
    const [target = ''] = digests('ada@example.com');
    const deed = { at: atOf(0), kind: 'person', target, action: 'erase', door: 'cli', reason: 'asked for it' } as const;
    await store.write({ number: 1, rows: [], deeds: [], dropped: 0 });
    expect(await removal.record(storedDeed('r1', deed, seal))).toBe(true);
    const erased = { rows: 3, shared: 1, deadLetters: 2 };
    await removal.record(storedDeed('r1', { ...deed, erased }, seal));
    const { entries } = await reader.deeds({}, 9);
    expect(entries).toEqual([{ ...deed, erased }]);
    expect(entries.map(deedInWords)).toEqual(['erased: 3 rows of the log, contents of 1 more, 2 dead letters']);
    expect(JSON.stringify(entries)).not.toMatch(/ada|example/);
    const found = async (keys: readonly string[], person: string) =>
      (await reader.deeds({ targets: sealingWith(keys).digests(person) }, 9)).entries.length;
    const NEWER = `k2:${Buffer.alloc(32, 8).toString('base64')}`;
    expect(await found([NEWER, KEY], 'ada@example.com')).toBe(1);
    expect(await found([NEWER], 'ada@example.com')).toBe(0);
    expect(await found([KEY], 'Ada@example.com')).toBe(0);
    expect(await found([], 'ada@example.com')).toBe(0);
  });
}
