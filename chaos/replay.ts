import { setTimeout as sleep } from 'node:timers/promises';
import type { ExportJobs } from '../src/app/export-jobs.ts';
import type { DeliveryRow } from '../src/features/delivery-log/delivery.ts';
import { changeKey, type Incidents, isExplained, isSuccess, type JobEvidence, type SeenRequest } from './judge.ts';
import { mayLackItsRow } from './judge-log.ts';
import type { Trouble } from './trouble.ts';

/** What a job was asked to tell again. Times are epoch ms. */
export interface Asked {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly askedAtMs: number;
  readonly onlyLast: boolean;
}

/** When so much of a job is done: the beginning and the end of what is told again, and when that is asked for. */
const SINCE = 0.1;
const UNTIL = 0.4;
const ASKED = 0.5;
const LOOK_MS = 100;

/** Has a job tell again what it was told in the midst of its work, while it goes on. */
export class Replaying {
  asked: Asked;
  isUnderWay = false;
  readonly #jobId: string;
  readonly #trouble: Trouble;
  readonly #progress: () => number;

  constructor(jobId: string, onlyLast: boolean, trouble: Trouble, progress: () => number) {
    this.#jobId = jobId;
    this.asked = { sinceMs: Infinity, untilMs: Infinity, askedAtMs: Infinity, onlyLast };
    this.#trouble = trouble;
    this.#progress = progress;
  }

  /**
   * Until it has ended.
   * @param mayBegin a command begins with a query, and that may break a job of 0.1.0 after a kill: its workers have no guard of queries.
   */
  async run(jobs: ExportJobs, mayBegin: () => boolean, signal: AbortSignal): Promise<void> {
    const at = async (share: number, isSo = () => true) => {
      while ((this.#progress() < share || !isSo()) && !signal.aborted) await sleep(LOOK_MS);
      return Date.now();
    };
    const { onlyLast } = this.asked;
    this.asked = { sinceMs: await at(SINCE), untilMs: await at(UNTIL), askedAtMs: await at(ASKED, mayBegin), onlyLast };
    this.isUnderWay = true;
    this.#trouble.isBackAgain = true;
    const since = new Date(this.asked.sinceMs).toISOString();
    const until = new Date(this.asked.untilMs).toISOString();
    const ask = async () => {
      const found = await jobs.findTold(this.#jobId, { since, until, onlyLast });
      return await jobs.replay(this.#jobId, found, { requestId: 'again' });
    };
    // A backfill may be under way, a server away, an answer lost.
    while (!signal.aborted && (await ask().catch(() => undefined)) === undefined) await sleep(LOOK_MS);
    const state = async () => (await jobs.status(this.#jobId)).backfill?.state;
    while (!signal.aborted && (await state().catch(() => 'running')) === 'running') await sleep(LOOK_MS);
    this.isUnderWay = false;
  }
}

export interface ReplayVerdict {
  /** Deliveries that came again. */
  readonly replayed: number;
  /** Those that were rightly left out, since their person was told something newer about the audience. */
  readonly leftOut: number;
  /** Deliveries that were to be sent again, and were not. */
  readonly replayLost: number;
  /** Live triggers that came again after a younger one of their person. */
  readonly replayOutOfOrder: number;
  /** Those that came again although their person had been told something newer about the audience, which was not sent again. */
  readonly replayOutdated: number;
  /** Rows of the lane `replay` for what was not to be sent again, and deliveries that came again without such a row and without a kill. */
  readonly replayWrongLane: number;
  /** The requests by which they came again, but for those that a kill may explain. */
  readonly resent: ReadonlySet<SeenRequest>;
  readonly violations: readonly string[];
}

const MOST_WORDS = 20;

/** Holds what came again against what the log says was told. @param rows all of the job; a told one that it lacks excuses */
export function judgeReplay(
  { live, requests }: Pick<JobEvidence, 'live' | 'requests'>,
  rows: readonly DeliveryRow[],
  asked: Asked,
  incidents: Incidents,
): ReplayVerdict {
  const { sinceMs, untilMs, askedAtMs, onlyLast } = asked;
  const violations: string[] = [];
  const say = (text: string) => void (violations.length < MOST_WORDS && violations.push(text));
  const again = new Set<string>();
  const toldAt = new Map<string, number[]>();
  for (const { verdict, lane, deliveryId, at } of rows) {
    if (verdict !== 'delivered') continue;
    if (lane === 'replay') again.add(deliveryId);
    else toldAt.set(deliveryId, [...(toldAt.get(deliveryId) ?? []), Date.parse(at)]);
  }
  const wasTold = (id: string, fromMs: number, toMs: number) =>
    toldAt.get(id)?.some((ms) => ms >= fromMs && ms < toMs) === true;
  const isMeant = (id: string) => wasTold(id, sinceMs, untilMs);

  const rank = new Map(live.map((change, place) => [changeKey(change), place]));
  const rankOf = (request: SeenRequest) => rank.get(changeKey(request)) ?? -1;
  const successes = requests.filter(({ answered }) => isSuccess(answered));
  const about = new Map<string, SeenRequest[]>();
  const last = new Map<string, SeenRequest>();
  const cameAgain = new Set<string>();
  const sure = new Map<string, SeenRequest>();
  for (const success of successes) {
    const { deliveryId: id, arrivedAtMs } = success;
    const before = last.get(id);
    last.set(id, success);
    if (before === undefined) about.set(aboutOf(success), [...(about.get(aboutOf(success)) ?? []), success]);
    else if (arrivedAtMs >= askedAtMs && isMeant(id)) {
      cameAgain.add(id);
      // What a kill explains may have been sent again for its sake.
      if (!isExplained(before, incidents)) sure.set(id, success);
    }
  }
  const newerThan = (one: SeenRequest) =>
    (about.get(aboutOf(one)) ?? []).filter((other) => rankOf(other) > rankOf(one));
  let [leftOut, replayLost, replayOutOfOrder, replayOutdated, replayWrongLane] = [0, 0, 0, 0, 0];
  const isDue = (id: string) => isMeant(id) && !wasTold(id, untilMs, Infinity);
  for (const [id, one] of last) {
    if (cameAgain.has(id) || !isMeant(id)) continue;
    if (!isDue(id) || !newerThan(one).every((newer) => !onlyLast && isDue(newer.deliveryId))) leftOut++;
    else {
      replayLost++;
      say(`not sent again: ${changeKey(one)}`);
    }
  }
  const youngest = new Map<string, number>();
  for (const [id, one] of sure) {
    const newer = newerThan(one).find(({ deliveryId }) => wasTold(deliveryId, onlyLast ? 0 : untilMs, one.arrivedAtMs));
    if (newer !== undefined) {
      replayOutdated++;
      say(`sent again after ${newer.what}: ${changeKey(one)}`);
    }
    const place = rankOf(one);
    if (place > (youngest.get(one.person) ?? -1)) youngest.set(one.person, place);
    else if (place >= 0) {
      replayOutOfOrder++;
      say(`sent again too late: ${changeKey(one)}`);
    }
    if (again.has(id) || mayLackItsRow(one, incidents)) continue;
    replayWrongLane++;
    say(`sent again, and not by a replay: ${changeKey(one)}`);
  }
  for (const id of again) {
    if (isMeant(id)) continue;
    replayWrongLane++;
    say(`sent by a replay: ${id}`);
  }
  const resent = new Set(sure.values());
  const figures = { leftOut, replayLost, replayOutOfOrder, replayOutdated, replayWrongLane };
  return { replayed: cameAgain.size, ...figures, resent, violations };
}

function aboutOf({ person, what }: SeenRequest): string {
  return `${person} ${what.split(' ', 1)[0]}`;
}
