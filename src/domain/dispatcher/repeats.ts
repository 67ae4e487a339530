import { deliveryText } from '../delivery-id.ts';
import { type Instant, knownInstant } from '../instant.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import type { JobState } from './job-state.ts';

/** Whether two triggers of one person are the same delivery. A dead letter that comes back was asked for, so it is not a repeat. */
export function isSameDelivery(one: QueuedTrigger, other: QueuedTrigger): boolean {
  return (
    one.audience === other.audience &&
    one.event === other.event &&
    (one.at === other.at || instantOfTrigger(one) === instantOfTrigger(other))
  );
}

/** One person may have thousands waiting, and each new one is compared with all of them, so a time is parsed only once. */
const instants = new WeakMap<QueuedTrigger, Instant | undefined>();

function instantOfTrigger(trigger: QueuedTrigger): Instant | undefined {
  const known = instants.get(trigger);
  if (known !== undefined) return known;
  const instant = knownInstant(trigger.at);
  instants.set(trigger, instant);
  return instant;
}

/** Whether this trigger is already waiting, in a chain, in a slice or on its way to a dead letter, or was among the last few thousand delivered. */
export function isRepeat(state: JobState, user: string, trigger: QueuedTrigger): boolean {
  if (trigger.redelivery !== undefined) return false;
  const chain = state.chains.get(user);
  if (chain?.triggers.some((waiting) => isSameDelivery(waiting, trigger)) === true) return true;
  if (state.deadLetters.some((dead) => dead.user === user && isSameDelivery(dead.trigger, trigger))) return true;
  return state.delivered.knows(deliveryText(state.job.subscriptionId, { user, ...trigger }));
}

/** Remembers that a trigger was delivered: if it is signalled again soon, that is a repeat. */
export function rememberDelivery(state: JobState, user: string, trigger: QueuedTrigger): void {
  state.delivered.remember(deliveryText(state.job.subscriptionId, { user, ...trigger }));
}
