import type { RecordedRequest } from '../demo/recorder.ts';
import { earliestMs, latestMs, SLACK_MS, type Stall } from './stalls.ts';

/** One membership change, as a test knows that it must arrive and as a message says it. */
export interface Change {
  readonly person: string;
  /** Audience, event and instant, in one text: `vip enter 2026-01-01T00:00:00.000000001Z`. */
  readonly what: string;
}

/** One change in one request, as the endpoint of a job saw it. */
export interface SeenRequest
  extends Change, Pick<RecordedRequest, 'arrivedAtMs' | 'inFlight' | 'answered' | 'endedAtMs'> {
  readonly deliveryId: string;
  /** The worker process that sent it; a worker that was started again has another name. */
  readonly worker: string;
  /** The same for all that came in one request; absent: it came alone. */
  readonly number?: number;
}

/** What one job was given, and what its endpoint saw. */
export interface JobEvidence {
  /** Most requests in flight that the job is allowed. */
  readonly cap: number;
  /** Live triggers in the order in which they were accepted. */
  readonly live: readonly Change[];
  /** Enters of the backfill; they have no order. */
  readonly members: readonly Change[];
  /** In the order in which requests were complete. */
  readonly requests: readonly SeenRequest[];
  /** Those of them that a replay sent, which are no repeats; absent: none. */
  readonly resent?: ReadonlySet<SeenRequest> | undefined;
}

/** What was done to the system meanwhile. Times are epoch ms, of the clock that the requests have. */
export interface Incidents {
  /** Worker processes that ended by SIGKILL, by name: when. */
  readonly kills: ReadonlyMap<string, number>;
  /** From the kill of a server (Temporal, its database) until it answered again. */
  readonly outages: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** Changes that were signalled again, since whether they had been accepted was not known: `changeKey`. */
  readonly repeated: ReadonlySet<string>;
  /** After so long a worker gives a request up. */
  readonly requestTimeoutMs: number;
  /** When the endpoints' process stood still. */
  readonly stalls: readonly Stall[];
}

export interface Verdict {
  /** Changes that arrived with success, each counted once. */
  readonly delivered: number;
  /** Changes that did not. */
  readonly lost: number;
  /** Live changes that first arrived after a younger one of their person. */
  readonly outOfOrder: number;
  /** Requests that arrived while more than the cap were in flight, themselves included. */
  readonly overCap: number;
  /** Those of them which open requests that nobody waits for any more do not explain. */
  readonly unexplainedOverCap: number;
  readonly mostInFlight: number;
  /** How long the endpoint had a request open after its sender's kill, at most, in ms. */
  readonly longestAbandonedMs: number;
  /** Successes of a delivery after its first. */
  readonly duplicates: number;
  /** Those of them that neither a kill, nor an outage, nor a half answer, nor our own repeat explains. */
  readonly unexplainedDuplicates: number;
  /** Changes that came under a second delivery id. */
  readonly changedIds: number;
  /** Requests about something that nobody signalled. */
  readonly unexpected: number;
  /** Some of what must not be, in words. */
  readonly violations: readonly string[];
}

/**
 * How long, in ms, a worker may know of a delivery what the server does not: a heartbeat a second, thinned to one a second by the SDK,
 * and a moment for the call. What a worker delivered in the time before its kill may be delivered again.
 */
export const UNREPORTED_MS = 3_000;
const MOST_WORDS = 20;

export function changeKey({ person, what }: Change): string {
  return `${person} ${what}`;
}

/** Holds what an endpoint saw against what it should have seen. */
export function judge(evidence: JobEvidence, incidents: Incidents): Verdict {
  const successes = evidence.requests.filter(({ answered }) => isSuccess(answered));
  const violations: string[] = [];
  const say = (text: string) => void (violations.length < MOST_WORDS && violations.push(text));
  const arrived = new Set(successes.map(changeKey));
  const expected = new Set([...evidence.live, ...evidence.members].map(changeKey));
  const lost = [...expected].filter((key) => !arrived.has(key));
  for (const key of lost) say(`lost: ${key}`);
  return {
    delivered: expected.size - lost.length,
    lost: lost.length,
    outOfOrder: countOvertaken(evidence.live, successes, say),
    ...judgeCap(evidence, incidents, say),
    longestAbandonedMs: longestAbandoned(evidence.requests, incidents),
    ...judgeRepeats(successes, evidence.resent, incidents, say),
    changedIds: countChangedIds(evidence.requests, say),
    unexpected: evidence.requests.filter((request) => !expected.has(changeKey(request))).length,
    violations,
  };
}

type Say = (text: string) => void;

/** For the sender the status line decides, so that a half answer of 200 is a success. */
export function isSuccess(answered: RecordedRequest['answered']): boolean {
  return answered === 'half' || (typeof answered === 'number' && answered >= 200 && answered < 300);
}

function countOvertaken(live: readonly Change[], successes: readonly SeenRequest[], say: Say): number {
  const rank = new Map(live.map((change, place) => [changeKey(change), place]));
  const youngest = new Map<string, number>();
  const seen = new Set<string>();
  let overtaken = 0;
  for (const request of successes) {
    const key = changeKey(request);
    const own = rank.get(key);
    if (own === undefined || seen.has(key)) continue;
    seen.add(key);
    const before = youngest.get(request.person) ?? -1;
    if (own > before) {
      youngest.set(request.person, own);
    } else {
      overtaken++;
      say(`out of order: ${key} came after ${live[before]?.what}`);
    }
  }
  return overtaken;
}

function judgeCap({ requests, cap }: JobEvidence, incidents: Incidents, say: Say) {
  let overCap = 0;
  let unexplainedOverCap = 0;
  let mostInFlight = 0;
  let open: SeenRequest[] = [];
  let before: number | undefined;
  for (const request of requests) {
    const { arrivedAtMs, inFlight, number } = request;
    if (number !== undefined && number === before) continue;
    before = number;
    open = open.filter(({ endedAtMs }) => endedAtMs === undefined || endedAtMs >= arrivedAtMs);
    open.push(request);
    mostInFlight = Math.max(mostInFlight, inFlight);
    if (inFlight <= cap) continue;
    overCap++;
    const abandoned = open.filter((other) => isAbandoned(other, arrivedAtMs, incidents));
    if (inFlight - cap <= abandoned.length) continue;
    unexplainedOverCap++;
    say(`over the cap: ${inFlight} in flight (${abandoned.length} abandoned) when ${changeKey(request)} came`);
  }
  return { overCap, unexplainedOverCap, mostInFlight };
}

/** Whether the sender of an open request had given it up by then, or was dead. */
function isAbandoned({ worker, arrivedAtMs }: SeenRequest, atMs: number, incidents: Incidents): boolean {
  const { kills, requestTimeoutMs, stalls } = incidents;
  const killedAtMs = kills.get(worker);
  const isLate = atMs - earliestMs(arrivedAtMs, stalls) >= requestTimeoutMs - SLACK_MS;
  return isLate || (killedAtMs !== undefined && killedAtMs <= atMs);
}

function longestAbandoned(requests: readonly SeenRequest[], { kills }: Incidents): number {
  let longest = 0;
  for (const { worker, arrivedAtMs, endedAtMs = Infinity } of requests) {
    const killedAtMs = kills.get(worker);
    if (killedAtMs !== undefined && arrivedAtMs <= killedAtMs) longest = Math.max(longest, endedAtMs - killedAtMs);
  }
  return longest;
}

function judgeRepeats(
  successes: readonly SeenRequest[],
  resent: JobEvidence['resent'],
  incidents: Incidents,
  say: Say,
) {
  const last = new Map<string, SeenRequest>();
  let duplicates = 0;
  let unexplainedDuplicates = 0;
  for (const request of successes) {
    const before = last.get(request.deliveryId);
    last.set(request.deliveryId, request);
    if (before === undefined || resent?.has(request) === true) continue;
    duplicates++;
    if (isExplained(before, incidents)) continue;
    unexplainedDuplicates++;
    const apart = request.arrivedAtMs - before.arrivedAtMs;
    say(`twice: ${changeKey(request)} by ${before.worker} and, ${apart} ms later, by ${request.worker}`);
  }
  return { duplicates, unexplainedDuplicates };
}

/** Whether the job may rightly not know of this success, so that it sends the same once more. */
export function isExplained(success: SeenRequest, incidents: Incidents): boolean {
  const { kills, outages, repeated } = incidents;
  const { arrivedAtMs } = success;
  const killedAtMs = kills.get(success.worker);
  return (
    success.answered === 'half' ||
    (killedAtMs !== undefined && killedAtMs - arrivedAtMs <= UNREPORTED_MS) ||
    outages.some(({ fromMs, toMs }) => arrivedAtMs >= fromMs - UNREPORTED_MS && arrivedAtMs <= toMs + UNREPORTED_MS) ||
    mayBeGivenUp(success, incidents) ||
    repeated.has(changeKey(success))
  );
}

/** Whether the answer came so late that the sender may have given the request up. */
export function mayBeGivenUp(
  { arrivedAtMs, endedAtMs = Infinity }: SeenRequest,
  { requestTimeoutMs, stalls }: Pick<Incidents, 'requestTimeoutMs' | 'stalls'>,
): boolean {
  return latestMs(endedAtMs, stalls) - earliestMs(arrivedAtMs, stalls) >= requestTimeoutMs - SLACK_MS;
}

function countChangedIds(requests: readonly SeenRequest[], say: Say): number {
  const ids = new Map<string, string>();
  const changed = new Set<string>();
  for (const request of requests) {
    const key = changeKey(request);
    const id = ids.get(key);
    if (id === undefined) {
      ids.set(key, request.deliveryId);
    } else if (id !== request.deliveryId && !changed.has(key)) {
      changed.add(key);
      say(`two delivery ids: ${key}`);
    }
  }
  return changed.size;
}
