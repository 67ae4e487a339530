import type { Alert } from '../../../contract/alert.ts';
import type { ScanReport, WatchAlerts, WatchOptions, WatchPhase, WatchState, WatchStatus } from './watch.ts';
import { type Instant, instantOf, nextNanosecond } from '../../../domain/instant.ts';
import { shownCount, shownTime } from '../../../domain/text.ts';
import { isTooLarge } from '../../../snapshots/comparing.ts';

/**
 * The share of the people that a held scan missed, in percent, who may be back in the next one. Some people do come back; a table that is
 * filling up again brings back all.
 */
const BACK_PERCENT = 1;
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 5 * 60_000;

/**
 * Whether a scan's changes may be published. A large exit is accepted the second time, or when a person accepts it. The people missing from
 * the held scan must still be missing, and any further ones must be few enough on their own.
 */
export function mayBePublished(scan: ScanReport, { snapshot, held, isAccepted, options }: WatchState): boolean {
  const members = snapshot?.members ?? 0;
  if (!isTooLarge(scan.exits, members, options.largestExitPercent)) return true;
  if (held === undefined || !scan.heldFound) return false;
  if (isTooLarge(scan.gone, members, options.largestExitPercent)) return false;
  return isAccepted === true || scan.back * 100 <= held.exits * BACK_PERCENT;
}

/** The `at` of a round's triggers: when it begins, and later than the round before, so that an exit and an enter of one person are two triggers. */
export function roundInstant(lastAt: Instant | undefined, now: number): Instant {
  const instant = instantOf(now);
  return lastAt === undefined || instant > lastAt ? instant : nextNanosecond(lastAt);
}

/** How long to wait after this many failures in a row, in ms: 5 s, doubling, at most 5 min. */
export function retryAfterMs(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16), LONGEST_RETRY_MS);
}

/** When the round after this one begins, epoch ms. */
export function nextRoundAt(startedAt: number, everyMs: number, now: number): number {
  return Math.max(startedAt + everyMs, now);
}

/** Rounds that fail in a row before an alert: the first is mostly over after 5 s. */
export const FAILURES_ALERTED = 3;

/**
 * Returns the alerts that a watch has to raise now, and all that it has raised then.
 * @param isOver the watch has ended, and every condition with it.
 */
export function watchAlerts(
  state: WatchState,
  now: number,
  isOver = false,
): { readonly alerts: readonly Alert[]; readonly raised: WatchAlerts } {
  const { trouble, held, snapshot } = state;
  const at = instantOf(now);
  const alerts: Alert[] = [];
  let raised: WatchAlerts = state.alerts ?? { raised: 0 };
  const note = (name: 'failing' | 'held', holds: boolean, text: string): void => {
    const since = raised[name];
    if (holds === (since !== undefined)) return;
    const n = raised.raised + 1;
    const common = { n, kind: `watch-${name}`, at } as const;
    if (since === undefined) alerts.push({ ...common, state: 'began', text });
    else alerts.push({ ...common, state: 'ended', since, text: WATCH_ENDED[name] });
    const { [name]: _, ...rest } = raised;
    raised = since === undefined ? { ...rest, raised: n, [name]: at } : { ...rest, raised: n };
  };
  const isFailing = !isOver && (trouble?.failures ?? 0) >= FAILURES_ALERTED;
  note('failing', isFailing, `Rounds have failed since ${shownTime(trouble?.since ?? at)}: ${trouble?.reason ?? ''}`);
  const exits = `${shownCount(held?.exits ?? 0)} of ${shownCount(snapshot?.members ?? 0)} members would leave at once.`;
  note('held', !isOver && held !== undefined, `${exits} The round is held until the next one finds the same.`);
  return { alerts, raised };
}

const WATCH_ENDED = {
  failing: 'A round succeeded again, or the watch was stopped.',
  held: 'The held exits were published or dropped, or the watch was stopped.',
} as const;

/** A watch before its first round. */
export function newWatch(audience: WatchState['audience'], options: WatchOptions): WatchState {
  return { v: 1, audience, options, rounds: 0, enters: 0, exits: 0 };
}

/** The options that a watch is started with, shown in the Temporal UI and lists. */
export function watchPresentation({ audience }: Pick<WatchState, 'audience'>) {
  return { summary: `Watches ${audience.slug}`, memo: { audience } };
}

export function describeWatch(state: WatchState, phase: WatchPhase): WatchStatus {
  const { v, audience, options, rounds, enters, exits, snapshot, pending, held, last, trouble, lost, nextAt } = state;
  return {
    v,
    state: phase,
    audience,
    ...options,
    rounds,
    enters,
    exits,
    ...(snapshot === undefined ? {} : { members: snapshot.members }),
    ...(last === undefined ? {} : { last }),
    ...(nextAt === undefined ? {} : { nextAt: instantOf(nextAt) }),
    ...(held === undefined ? {} : { held: { exits: held.exits, members: held.scan.members, at: held.scan.at } }),
    ...(trouble === undefined ? {} : { trouble }),
    ...(trouble === undefined || pending === undefined ? {} : { unpublished: pending.changes }),
    ...(lost === undefined ? {} : { lost }),
  };
}
