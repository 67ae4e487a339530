import type { DeliveryRow } from '../src/features/delivery-log/delivery.ts';
import { type Incidents, isSuccess, mayBeGivenUp, type SeenRequest } from './judge.ts';

/** How the delivery log and the endpoints' ledgers agree. */
export interface LogVerdict {
  /** Deliveries in the log. */
  readonly logged: number;
  /** Requests of which the ledger has a success, and the log no row. */
  readonly unlogged: number;
  /** Those of them that no kill explains. */
  readonly unexplainedUnlogged: number;
  /** Rows without a request. */
  readonly invented: number;
  /** Rows whose attempt is not later than the one before it of the same trigger, or too low for its place. */
  readonly misnumbered: number;
  readonly violations: readonly string[];
}

/** A killed worker loses rows that are younger than this: a quarter of a second, and the time to write them. */
const UNWRITTEN_MS = 2_000;
const MOST_WORDS = 20;

/** Compares what a job's endpoint saw with the rows of the log. @param requests of the job, in the order of their ends */
export function judgeLog(
  requests: readonly SeenRequest[],
  rows: readonly DeliveryRow[],
  incidents: Incidents,
): LogVerdict {
  const violations: string[] = [];
  const logged = new Map<string, number>();
  for (const { verdict, deliveryId } of rows)
    if (verdict === 'delivered') logged.set(deliveryId, (logged.get(deliveryId) ?? 0) + 1);
  let [unlogged, unexplainedUnlogged, invented] = [0, 0, 0];
  for (const [deliveryId, successes] of successesById(requests)) {
    const missing = successes.length - (logged.get(deliveryId) ?? 0);
    if (missing <= 0) continue;
    unlogged += missing;
    const explained = successes.filter((success) => mayLackItsRow(success, incidents)).length;
    if (missing <= explained) continue;
    unexplainedUnlogged += missing - explained;
    if (violations.length >= MOST_WORDS) continue;
    const seen = successes.map(({ worker, arrivedAtMs }) => `${worker} at ${arrivedAtMs}`);
    const kept = rows.flatMap((row) => (row.deliveryId === deliveryId ? [`${row.verdict} at ${row.at}`] : []));
    violations.push(`no row: ${deliveryId}, by ${seen.join(' and ')}; the log has ${kept.join(' and ') || 'none'}`);
  }
  const asked = new Map<string, number>();
  for (const { deliveryId } of requests) asked.set(deliveryId, (asked.get(deliveryId) ?? 0) + 1);
  for (const [deliveryId, count] of logged) {
    if (count <= (asked.get(deliveryId) ?? 0)) continue;
    invented++;
    if (violations.length < MOST_WORDS) violations.push(`a row without a request: ${deliveryId}`);
  }
  const misnumbered = misnumberedOf(rows);
  for (const row of misnumbered.slice(0, MOST_WORDS))
    violations.push(
      `attempt ${row.attempt} of ${row.deliveryId} at ${row.at} (${row.lane}) is not after the one before`,
    );
  return {
    logged: rows.length,
    unlogged,
    unexplainedUnlogged,
    invented,
    misnumbered: misnumbered.length,
    violations,
  };
}

/** Rows of requests whose numbers do not rise in their order. A replay counts for itself. */
export function misnumberedOf(rows: readonly DeliveryRow[]): DeliveryRow[] {
  const byId = new Map<string, DeliveryRow[]>();
  for (const row of rows) {
    if (row.durationMs === 0 || row.lane === 'replay') continue;
    byId.set(row.deliveryId, [...(byId.get(row.deliveryId) ?? []), row]);
  }
  return [...byId.values()].flatMap((all) => {
    const inOrder = all.toSorted((a, b) => a.sequence - b.sequence);
    return inOrder.filter(({ attempt }, place) => attempt <= (inOrder[place - 1]?.attempt ?? 0));
  });
}

function successesById(requests: readonly SeenRequest[]): Map<string, SeenRequest[]> {
  const byId = new Map<string, SeenRequest[]>();
  for (const request of requests) {
    const { answered, deliveryId } = request;
    if (!isSuccess(answered)) continue;
    byId.set(deliveryId, [...(byId.get(deliveryId) ?? []), request]);
  }
  return byId;
}

/** Whether its sender was killed before it can have written the row, or may have given the request up. */
export function mayLackItsRow(success: SeenRequest, incidents: Incidents): boolean {
  const { worker, arrivedAtMs, endedAtMs = Infinity } = success;
  const { kills, requestTimeoutMs } = incidents;
  const killedAtMs = kills.get(worker);
  return (
    mayBeGivenUp(success, incidents) ||
    (killedAtMs !== undefined && killedAtMs <= Math.min(endedAtMs, arrivedAtMs + requestTimeoutMs) + UNWRITTEN_MS)
  );
}
