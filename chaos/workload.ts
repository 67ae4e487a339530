import { Dice } from '../demo/dice.ts';
import type { SamplePerson } from '../demo/sample-people.ts';
import type { EventTrigger } from '../src/contract/trigger.ts';
import type { Change } from './judge.ts';

/** A trigger whose time its sender knows, so that signalling it again is no other trigger. */
export type TimedTrigger = EventTrigger & { readonly at: string };

/** The audience of everybody; it alone is backfilled, and nobody is signalled into it or out of it. */
export const EVERYONE = 'everyone';
const LIVE_AUDIENCES = ['newsletter', 'vip'] as const;
/** One trigger in so many brings its profile along; the others' are read from the source. */
export const INLINE_EVERY = 10;

/** `count` triggers of randomly chosen people, who enter and leave audiences in turn; the same for the same seed. */
export function liveTriggers(
  people: readonly SamplePerson[],
  count: number,
  seed: number,
  inlineEvery = INLINE_EVERY,
): TimedTrigger[] {
  const dice = new Dice(seed);
  const isIn = new Set<string>();
  return Array.from({ length: count }, (_, i) => {
    const { user, profile } = dice.oneOf(people);
    const audience = dice.oneOf(LIVE_AUDIENCES);
    const membership = `${user} ${audience}`;
    const event = isIn.delete(membership) ? 'exit' : 'enter';
    if (event === 'enter') isIn.add(membership);
    return { user, audience, event, at: timeOf(i), ...(i % inlineEvery === 0 ? { profile } : {}) };
  });
}

/** The i-th nanosecond of a second long ago: unique within a job, in the order of the triggers. */
function timeOf(i: number): string {
  return `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`;
}

export function changeOf({ user, audience, event, at }: TimedTrigger): Change {
  return { person: user, what: `${audience} ${event} ${at}` };
}

/** What a backfill of everyone tells of this person; its time is the backfill's own. */
export function memberChange(user: string): Change {
  return { person: user, what: `${EVERYONE} enter` };
}
