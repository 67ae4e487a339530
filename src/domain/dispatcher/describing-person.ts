import type { Audience } from '../../contract/audience.ts';
import type { ChainStanding, PersonAnswer, WaitingTrigger } from '../../contract/trace.ts';
import { findAudience } from '../audience.ts';
import { instantOf } from '../instant.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import type { Chain } from './chain.ts';
import { describeJob } from './describing.ts';
import type { JobState } from './job-state.ts';
import { parkedHolder } from './parking.ts';

/** How many triggers of one person are listed for each place at most. */
export const LISTED_WAITING = 20;

/** The state of one person's triggers, as the query `person` returns it. Changes nothing. */
export function describePerson(state: JobState, user: string, now: number): PersonAnswer {
  const { chains, overflow, deadLetters, backfill, job } = state;
  const { state: phase, reason, endpoint, throttledUntil, lastFailure } = describeJob(state, '', now);
  const audiences = [...job.audiences, ...job.formerAudiences];
  const chain = chains.get(user);
  const inChain = chain?.triggers ?? [];
  const behind = [...overflow.here()].filter((waiting) => waiting.user === user);
  return {
    v: 1,
    state: phase,
    subscriptionId: job.subscriptionId,
    audiences,
    ...(reason === undefined ? {} : { reason }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(throttledUntil === undefined ? {} : { throttledUntil }),
    ...(lastFailure === undefined ? {} : { lastFailure }),
    waiting: inChain.slice(0, LISTED_WAITING).map((trigger) => waitingTrigger(audiences, trigger)),
    waitingCount: inChain.length + behind.length + (chain?.parked?.count ?? 0),
    ...(chain === undefined ? {} : { chain: chainStanding(state, chain) }),
    ...(overflow.isEmpty
      ? {}
      : {
          overflow: {
            ...overflow.range,
            waiting: behind
              .slice(0, LISTED_WAITING)
              .map(({ trigger, holder }) => waitingTrigger(audiences, trigger, holder?.toString())),
          },
        }),
    dying: deadLetters.count((dead) => dead.user === user),
    inPages: backfill?.waitsInPages(user) ?? false,
  };
}

/** A waiting trigger, as it is shown to people. */
export function waitingTrigger(
  audiences: readonly Audience[],
  { audience, event, at, backfill, redelivery }: QueuedTrigger,
  holder?: string,
): WaitingTrigger {
  return {
    event,
    audience: findAudience(audiences, audience)?.slug ?? audience,
    at,
    ...(holder === undefined ? {} : { holder }),
    ...(backfill === undefined ? {} : { backfill }),
    ...(redelivery === undefined ? {} : { redelivery }),
  };
}

function chainStanding({ chains }: JobState, chain: Chain): ChainStanding {
  const { place, failures, profileTries, notBefore, parked } = chain;
  return {
    place,
    ...(place === 'ready' ? { ahead: chains.aheadOf(chain) } : {}),
    failures,
    profileTries,
    ...(place === 'held' && notBefore > 0 ? { nextAttemptAt: instantOf(notBefore) } : {}),
    ...(parked === undefined ? {} : { parked: { holder: parkedHolder(parked.number), count: parked.count } }),
  };
}
