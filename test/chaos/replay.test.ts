import { describe, expect, test } from '@jest/globals';
import { type Incidents, judge, type SeenRequest } from '../../chaos/judge.ts';
import { type Asked, judgeReplay, type ReplayVerdict } from '../../chaos/replay.ts';
import type { DeliveryRow } from '../../src/features/delivery-log/delivery.ts';
import { rowOf } from './a-row.ts';

const CALM: Incidents = { kills: new Map(), outages: [], repeated: new Set(), requestTimeoutMs: 2000, stalls: [] };
const ASKED: Asked = { sinceMs: 1000, untilMs: 2000, askedAtMs: 3000, onlyLast: false };

/** In their order: a person, an audience, and a number. */
const LIVE = ['ada vip 1', 'ada news 2', 'bob vip 3', 'ada vip 4', 'cay vip 5'];
/** Two before the window's end, one after it, one never again; cay was told before the window. */
const TOLD = ['0900 cay vip 5', '1100 ada vip 1', '1200 ada news 2', '1300 bob vip 3', '1400 ada vip 4'];
const AGAIN = ['3100 ada vip 1', '3200 ada news 2', '3300 bob vip 3', '3400 ada vip 4'];

/** `ms person audience number`, as the endpoint saw it; what came after the asking, a replay sent. */
function seen(text: string): SeenRequest {
  const [ms, person = '', audience, number] = text.split(' ');
  const arrivedAtMs = Number(ms);
  const what = `${audience} enter ${number}`;
  const rest = { worker: 'w1', inFlight: 1, answered: 200, arrivedAtMs, endedAtMs: arrivedAtMs + 1 };
  return { person, what, deliveryId: `${person} ${audience} ${number}`, ...rest };
}

/** The log's rows of these requests. */
function rowsOf(requests: readonly SeenRequest[]): DeliveryRow[] {
  return requests.map((request) => rowOf(request, request.arrivedAtMs < ASKED.askedAtMs ? 'live' : 'replay'));
}

interface Case extends Partial<Asked> {
  readonly incidents?: Partial<Incidents>;
  readonly rows?: (rows: DeliveryRow[]) => DeliveryRow[];
}

/** Judges these requests, of which the log has all rows. */
function judged(texts: readonly string[], { incidents, rows = (all) => all, ...asked }: Case = {}): ReplayVerdict {
  const requests = texts.map(seen);
  const live = LIVE.map((text) => seen(`0 ${text}`));
  const all = { ...CALM, ...incidents };
  return judgeReplay({ live, requests }, rows(rowsOf(requests)), { ...ASKED, ...asked }, all);
}

const CLEAN = {
  replayed: 4,
  replayLost: 0,
  replayOutOfOrder: 0,
  replayOutdated: 0,
  replayWrongLane: 0,
  violations: [],
};

describe('the judge of a replay', () => {
  test('finds nothing where all was told again in order', () => {
    expect(judged([...TOLD, ...AGAIN])).toMatchObject(CLEAN);
  });

  test('finds what was not told again, and asks for nothing that was told before or after the window', () => {
    expect(judged([...TOLD, ...AGAIN.slice(1)])).toMatchObject({
      replayLost: 1,
      violations: ['not sent again: ada vip enter 1'],
    });
    expect(judged([...TOLD, ...AGAIN.slice(0, 2)])).toMatchObject({ replayed: 2, replayLost: 2 });
    // A repeat before it was asked for, or after the window.
    const withoutBob = AGAIN.toSpliced(2, 1);
    expect(judged([...TOLD, '1350 bob vip 3', ...withoutBob])).toMatchObject({ replayLost: 1 });
    expect(judged([...TOLD, '2100 bob vip 3', ...withoutBob])).toMatchObject({ replayLost: 0, leftOut: 1 });
    expect(judged(TOLD, { sinceMs: 1350 })).toMatchObject({ replayLost: 1 });
    expect(judged(TOLD, { untilMs: 1150 })).toMatchObject({ replayLost: 0 });
  });

  test('leaves out what something newer makes outdated, and finds what was told again all the same', () => {
    const told = [...TOLD.slice(0, 4), '2500 ada vip 4'];
    expect(judged([...told, AGAIN[1] ?? '', AGAIN[2] ?? ''])).toMatchObject({ ...CLEAN, replayed: 2, leftOut: 1 });
    const outdated = { replayLost: 0, replayOutdated: 1 };
    expect(judged([...told, ...AGAIN.slice(0, 3)])).toMatchObject(outdated);
    // Something newer comes while the replay goes on: before it, the older one may still come.
    const asLive = (rows: DeliveryRow[]): DeliveryRow[] =>
      rows.map((row) => (row.deliveryId === 'ada vip 4' ? { ...row, lane: 'live' } : row));
    const again = AGAIN.slice(0, 3);
    expect(judged([...TOLD.slice(0, 4), ...again, '3500 ada vip 4'], { rows: asLive })).toMatchObject({
      ...CLEAN,
      replayed: 3,
    });
    expect(judged([...TOLD.slice(0, 4), '3050 ada vip 4', ...again], { rows: asLive })).toMatchObject(outdated);
    // The log has lost the newer one.
    const lost = (rows: DeliveryRow[]) => rows.filter(({ deliveryId }) => deliveryId !== 'ada vip 4');
    expect(judged([...told, ...AGAIN.slice(0, 3)], { rows: lost })).toMatchObject({ replayOutdated: 0 });
  });

  test('with only the last, asks for that alone, and finds the others', () => {
    const onlyLast = { onlyLast: true };
    expect(judged([...TOLD, ...AGAIN.slice(1)], onlyLast)).toMatchObject({ ...CLEAN, replayed: 3 });
    expect(judged([...TOLD, ...AGAIN], onlyLast)).toMatchObject({ replayOutdated: 1 });
    expect(judged([...TOLD, ...AGAIN.slice(0, 3)], onlyLast)).toMatchObject({ replayLost: 1, replayOutdated: 1 });
  });

  test('finds what was overtaken by a younger one of the person', () => {
    const swapped = ['3100 ada news 2', '3200 ada vip 1', ...AGAIN.slice(2)];
    expect(judged([...TOLD, ...swapped])).toMatchObject({ replayLost: 0, replayOutOfOrder: 1 });
    // A kill may have brought them, too.
    const incidents = { kills: new Map([['w1', 3500]]) };
    expect(judged([...TOLD, ...swapped], { incidents })).toMatchObject({ replayLost: 0, replayOutOfOrder: 0 });
    // Members of a backfill have no order.
    const member = ['1500 ada everyone 0', '3150 ada everyone 0'];
    expect(judged([...TOLD, ...AGAIN, ...member].toSorted())).toMatchObject({ ...CLEAN, replayed: 5 });
  });

  test('finds rows of another lane, unless a kill took the row along', () => {
    const rows = (all: DeliveryRow[]): DeliveryRow[] =>
      all.filter(({ deliveryId, lane }) => deliveryId !== 'bob vip 3' || lane === 'live');
    expect(judged([...TOLD, ...AGAIN], { rows })).toMatchObject({ replayWrongLane: 1 });
    const incidents = { kills: new Map([['w1', 5000]]) };
    expect(judged([...TOLD, ...AGAIN], { rows, incidents })).toMatchObject({ replayWrongLane: 0 });
    expect(judged([...TOLD, ...AGAIN, '3500 cay vip 5'])).toMatchObject({ replayWrongLane: 1 });
  });

  test('what a replay sent is no repeat, but the next one is, unless a kill explains it', () => {
    const requests = [...TOLD, ...AGAIN, '9000 ada vip 4'].map(seen);
    const live = LIVE.map((text) => seen(`0 ${text}`));
    const repeats = (incidents: Incidents) => {
      const { resent } = judgeReplay({ live, requests }, rowsOf(requests), ASKED, incidents);
      return judge({ cap: 9, live, members: [], requests, resent }, incidents);
    };
    expect(repeats(CALM)).toMatchObject({ duplicates: 1, unexplainedDuplicates: 1 });
    const killed = { ...CALM, kills: new Map([['w1', 5000]]) };
    expect(repeats(killed)).toMatchObject({ duplicates: 1, unexplainedDuplicates: 0 });
  });
});
