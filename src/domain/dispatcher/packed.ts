import type { PackedTrigger, PackedTriggers } from '../../contract/holder.ts';
import type { QueuedTrigger } from './queued-trigger.ts';

/** A waiting trigger, with its person. */
export interface WaitingTrigger {
  readonly user: string;
  readonly trigger: QueuedTrigger;
}

/** Gives each audience its place. */
export class AudienceTable {
  readonly #places = new Map<string, number>();

  get ids(): string[] {
    return [...this.#places.keys()];
  }

  placeOf(audience: string): number {
    const known = this.#places.get(audience);
    if (known !== undefined) return known;
    const place = this.#places.size;
    this.#places.set(audience, place);
    return place;
  }
}

export function packTrigger(trigger: QueuedTrigger, table: AudienceTable): PackedTrigger {
  const { audience, event, at, ...more } = trigger;
  const plain = [at, table.placeOf(audience), event === 'enter' ? 1 : 0] as const;
  return Object.keys(more).length === 0 ? plain : [...plain, more];
}

/** @throws RangeError for a place that the table does not have: what was packed is no longer whole. */
export function unpackTrigger([at, place, event, more]: PackedTrigger, audiences: readonly string[]): QueuedTrigger {
  const audience = audiences[place];
  if (audience === undefined) throw new RangeError(`There is no audience ${place} among ${audiences.length}.`);
  return { audience, event: event === 1 ? 'enter' : 'exit', at, ...more };
}

export function packTriggers(waiting: readonly WaitingTrigger[]): PackedTriggers {
  const table = new AudienceTable();
  const triggers = waiting.map(({ user, trigger }) => [user, packTrigger(trigger, table)] as const);
  return { audiences: table.ids, triggers };
}

export function unpackTriggers({ audiences, triggers }: PackedTriggers): WaitingTrigger[] {
  return triggers.map(([user, trigger]) => ({ user, trigger: unpackTrigger(trigger, audiences) }));
}
