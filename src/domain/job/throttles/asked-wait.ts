import { throttleMs } from '../../retry.ts';
import type { Throttle } from './throttle.ts';

export interface WithAskedWait {
  /** The wait that the endpoint asked for, and how many there were in a row; plain JSON. */
  endpointWait?: { readonly until: number; readonly streak: number } | undefined;
}

/** An endpoint asks to wait. */
export const askedWait: Throttle<WithAskedWait> = {
  barredUntil: ({ endpointWait }) => endpointWait?.until ?? 0,
  wakesIdle: true,
  // A success ends a row of throttled answers, but not a wait that was asked for meanwhile.
  settled: (state, { isProofOfLife }, now) => {
    if (isProofOfLife && state.endpointWait !== undefined && state.endpointWait.until <= now)
      state.endpointWait = undefined;
  },
  wait: { why: 'endpoint', holds: 'all', until: ({ endpointWait }) => endpointWait?.until },
};

export function endpointAsksToWait(state: WithAskedWait, retryAfterMs: number | undefined, now: number): void {
  const { until: before = 0, streak: row = 0 } = state.endpointWait ?? {};
  // Slices that run side by side are throttled together: that counts once, not several times.
  const streak = row + (before <= now ? 1 : 0);
  state.endpointWait = { until: Math.max(now + throttleMs(retryAfterMs, streak), before), streak };
}
