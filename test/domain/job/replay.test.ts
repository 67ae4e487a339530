import { expect, test } from '@jest/globals';
import type { MemberPage } from '../../../src/contract/backfill.ts';
import type { TriggerEvent } from '../../../src/contract/trigger.ts';
import { beginBackfill } from '../../../src/domain/job/operating.ts';
import { packTriggers } from '../../../src/domain/job/queue/chain.ts';
import { AJob } from './a-job.ts';
import { AUDIENCES } from './a-record.ts';

const UNTIL = '2026-01-01T00:00:00Z';

/** `1 enter a`, told a second after the one before. */
function told(...lines: readonly string[]): Pick<MemberPage, 'told'> {
  const triggers = lines.map((line, second) => {
    const [user = '', event = '', slug = ''] = line.split(' ');
    const audience = AUDIENCES.find((one) => one.slug === slug)?.id ?? '';
    const at = `2025-12-31T00:00:${String(second).padStart(2, '0')}.000000000+00:00`;
    return { user, trigger: { audience, event: event as TriggerEvent, at } };
  });
  return { told: packTriggers(triggers) };
}

/** Begins a replay; its pages come later. */
function beginReplay(job: AJob): AJob {
  const ids = AUDIENCES.map(({ id }) => id);
  beginBackfill(job.state, ids, job.now, { instead: { replay: { until: UNTIL, enters: 3, exits: 1 } } });
  return job;
}

function replaying(job: AJob, ...lines: readonly string[]): AJob {
  beginReplay(job).page(1, [], told(...lines));
  return job;
}

test('a replay tells each person everything in order, each trigger with its own time, also in the next run', () => {
  const job = replaying(new AJob(4), '1 enter a', '2 enter a', '1 enter b', '1 exit a', '2 exit a');
  job.nextRun();
  const sent = [...job.dispatch()];
  while (job.running.length > 0) {
    job.endAll();
    sent.push(...job.dispatch());
  }
  const all = sent.flatMap(({ triggers }) => triggers);
  const of = (who: string) =>
    all.filter(({ user }) => user === who).map(({ event, at }) => `${event} ${at.slice(17, 19)}`);
  expect(of('1')).toEqual(['enter 00', 'enter 02', 'exit 03']);
  expect(of('2')).toEqual(['enter 01', 'exit 04']);
  expect(all.every(({ replay }) => replay === true)).toBe(true);
  expect(job.status.backfill).toMatchObject({ state: 'finished', taken: 5, delivered: 5, superseded: 0 });
});

test('what was just delivered is told again: it is no repeat', () => {
  const job = new AJob(1);
  const { told: page } = told('1 enter a');
  const [, [at = '']] = page?.triggers[0] ?? ['', ['']];
  job.signal('1', 'enter', { at });
  expect(job.sendAll()).toEqual(['1 enter a']);
  expect(replaying(job, '1 enter a').sendAll()).toEqual(['1 enter a']);
});

test('a source that lags, or a backfill just before, leaves nothing out that was told before the replay', () => {
  for (const sourceLagMs of [0, 300_000]) {
    const job = new AJob(1, { sourceLagMs });
    // It remembers who arrives meanwhile.
    if (sourceLagMs === 0) job.backfill(['2'], { last: false });
    job.signal('1');
    if (sourceLagMs === 0) job.page(2, []);
    job.sendAll();
    job.now += 1_000;
    beginReplay(job).signal('2', 'exit');
    job.page(1, [], told('1 enter a', '2 enter a'));
    job.nextRun();
    expect(job.sendAll()).toEqual(['2 exit a', '1 enter a']);
  }
});

test('a repeat of an old trigger that comes during a replay is no news', () => {
  const job = new AJob(1);
  const at = '2025-12-31T00:00:00.000000000+00:00';
  job.signal('1', 'enter', { at });
  job.sendAll();
  beginReplay(job);
  job.signal('1', 'enter', { at });
  job.page(1, [], told('1 enter a', '1 exit a'));
  job.signal('1', 'enter', { at });
  expect(job.sendAll()).toEqual(['1 enter a', '1 exit a']);
  expect(job.status).toMatchObject({ repeated: 2 });
});

test('a live trigger that comes after a page takes the place of all that the person is told again about its audience', () => {
  const job = replaying(new AJob(1), '1 enter a', '1 exit a', '1 enter b', '2 enter a');
  job.signal('1');
  expect(job.sendAll().toSorted()).toEqual(['1 enter a', '1 enter b', '2 enter a']);
  expect(job.status.backfill).toMatchObject({ state: 'finished', delivered: 2, superseded: 2 });
});

test('a trigger that waits is newer than any page, however long it has waited', () => {
  const job = new AJob(1);
  job.signal('1', 'exit');
  job.send({ 0: { status: 500 } });
  job.now += 3_600_000;
  replaying(job, '1 enter a', '1 enter b');
  expect(job.sendAll()).toEqual(['1 exit a', '1 enter b']);
});

test('so is a member of an earlier backfill that waits', () => {
  const job = new AJob(1);
  job.backfill(['1']);
  job.send({ 0: { status: 500 } });
  replaying(job, '1 exit a');
  job.now += 3_600_000;
  expect(job.sendAll()).toEqual(['1 enter a']);
});

test('what was delivered after a page was read, and before it came, is newer than the page', () => {
  const job = new AJob(1);
  job.signal('1', 'exit');
  job.dispatch();
  job.now += 3_600_000;
  beginReplay(job);
  const readAt = job.now;
  job.endAll();
  job.now += 1_000;
  job.page(1, [], { ...told('1 enter a', '2 enter a'), readAt });
  expect(job.sendAll()).toEqual(['2 enter a']);
});

test('an edit that removes an audience leaves it out', () => {
  const job = replaying(new AJob(1), '1 enter a', '1 enter b');
  const [a, ...others] = AUDIENCES;
  job.edit({}, { audiences: others, formerAudiences: a === undefined ? [] : [a] });
  expect(job.sendAll()).toEqual(['1 enter b']);
  expect(job.status.backfill).toMatchObject({ state: 'finished', leftOut: [{ audience: 'a', members: 1 }] });
});

test('a page that cannot be read is rejected', () => {
  for (const triggers of [[['1', ['x', 7, 1]]], [[1, ['x', 0, 1]]], 'none']) {
    const job = beginReplay(new AJob(1));
    job.page(1, [], { told: { audiences: ['a'], triggers } as unknown as NonNullable<MemberPage['told']> });
    expect(job.status).toMatchObject({ rejected: 1, backfill: { taken: 0 } });
  }
});
