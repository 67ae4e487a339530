import type { PackedTriggers } from '../../../src/contract/holder.ts';
import { type QueuedTrigger, unpackTriggers } from '../../../src/domain/job/queue/chain.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import type { ModelHolders } from './model-holders.ts';
import { keyOf, must, type Waiting } from './model-ledger.ts';

/** Looks into every place in which a trigger can wait. */
export function whereTriggersWait(state: DispatcherState, holders: ModelHolders): (user: string) => Waiting {
  const { first, next, unconfirmed, tail } = state.overflow.carry();
  const inState = new Map(unconfirmed);
  const contents: PackedTriggers[] = [];
  for (let number = first; number < next; number++) {
    const content = inState.get(number) ?? holders.contentOf(String(number));
    must(content !== undefined, `holder ${number} has its content, or the job has`);
    contents.push(content);
  }
  const overflow = [...contents, tail].flatMap(unpackTriggers);
  const pending = state.deadLetters.carry();
  return (user) => {
    const keys = (triggers: readonly QueuedTrigger[]) =>
      triggers.filter(({ backfill }) => backfill === undefined).map((trigger) => keyOf({ user, ...trigger }));
    const chain = keys(state.chains.get(user)?.triggers ?? []);
    const outside = overflow.filter((one) => one.user === user).map(({ trigger }) => trigger);
    return {
      inChain: chain,
      inOverflow: keys(outside),
      pending: keys(pending.filter((one) => one.user === user).map(({ trigger }) => trigger)),
    };
  };
}
