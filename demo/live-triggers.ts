import type { EventTrigger } from '../src/contract/trigger.ts';
import { instantOf, nextNanosecond, withOffset } from '../src/domain/instant.ts';
import { Dice } from './dice.ts';
import type { SamplePerson } from './sample-people.ts';

export interface LiveTriggerOptions {
  /** The people, with the audiences they are in to begin with. At least one person. */
  readonly people: Iterable<Pick<SamplePerson, 'user' | 'audiences'>>;
  /** Slugs of the audiences that change. At least one. */
  readonly audiences: readonly string[];
  /** The same seed gives the same people, audiences and events. Default 1. */
  readonly seed?: number;
  /** Epoch ms. Default: the clock. */
  readonly now?: () => number;
}

/** How often the next change is the same person's: these are the ones that could overtake each other. */
const SAME_PERSON_AGAIN = 0.25;

/**
 * Changes as they come from a live pipeline, without end: people leave only what they are in and enter only what they are not in. No two
 * have the same `at`, and each is newer than the one before.
 */
export function* liveTriggers(options: LiveTriggerOptions): Generator<EventTrigger & { readonly at: string }, never> {
  const { audiences, seed = 1, now = Date.now } = options;
  const dice = new Dice(seed);
  const people = Array.from(options.people, ({ user, audiences: memberOf }) => ({ user, memberOf: new Set(memberOf) }));
  let last = instantOf(0);
  let person = dice.oneOf(people);
  for (;;) {
    if (dice.chance() >= SAME_PERSON_AGAIN) person = dice.oneOf(people);
    const audience = dice.oneOf(audiences);
    const event = person.memberOf.delete(audience) ? 'exit' : 'enter';
    if (event === 'enter') person.memberOf.add(audience);
    const present = instantOf(now());
    last = present > last ? present : nextNanosecond(last);
    yield { user: person.user, audience, event, at: withOffset(last) };
  }
}
