import type { SliceInput, SliceProgress, SliceSign } from '../../../src/contract/slice.ts';
import { sliceEndsWithinMs } from '../../../src/domain/job/dispatching.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { must } from './model-ledger.ts';

/** A slice whose worker is dead. */
interface Dead {
  readonly slice: SliceInput;
  /** Deliveries that the last heartbeat told. */
  readonly known: readonly number[];
  readonly progress: SliceProgress;
  readonly diedAt: number;
  /** That it had then. */
  readonly permits: number;
}

/** Slices of dead workers in the model: something of theirs may be in flight for a while. */
export class ModelDeadWorkers {
  /** Those that the server still waits for. */
  readonly #waitedFor = new Map<number, Dead>();
  /** Those that the job gave up. */
  readonly #givenUp = new Map<number, Dead>();

  get size(): number {
    return this.#waitedFor.size;
  }

  has(id: number): boolean {
    return this.#waitedFor.has(id);
  }

  died({ slices }: DispatcherState, slice: SliceInput, heard: Pick<Dead, 'known' | 'progress'>, now: number): void {
    const permits = slices.get(slice.sliceId)?.permits ?? 0;
    this.#waitedFor.set(slice.sliceId, { slice, ...heard, diedAt: now, permits });
  }

  signs(): SliceSign[] {
    return [...this.#waitedFor].map(([sliceId, { progress, diedAt }]) => ({ sliceId, lastAtMs: diedAt, progress }));
  }

  givenUp(id: number): Dead {
    const dead = this.#waitedFor.get(id);
    must(dead !== undefined, 'a slice is given up once');
    this.#waitedFor.delete(id);
    this.#givenUp.set(id, dead);
    return dead;
  }

  someGivenUp(which: number): number | undefined {
    return [...this.#givenUp.keys()][which % Math.max(1, this.#givenUp.size)];
  }

  /** Those that the server waits for no longer. */
  timedOut(now: number): Dead[] {
    const over = [...this.#waitedFor.values()].filter((dead) => isOver(dead, now));
    for (const { slice } of over) this.#waitedFor.delete(slice.sliceId);
    return over;
  }

  /** The run was ended from outside: of those that it had not given up, nobody waits for anything. */
  forget(): Dead[] {
    const all = [...this.#waitedFor.values()];
    this.#waitedFor.clear();
    return all;
  }

  /** @param running the people in slices of workers that are alive. */
  check({ chains, slices }: DispatcherState, running: readonly string[], now: number): void {
    for (const dead of this.#waitedFor.values()) mustRest(dead, running);
    for (const [id, dead] of this.#givenUp) {
      if (isOver(dead, now)) this.#givenUp.delete(id);
      else {
        mustRest(dead, running);
        const { triggers } = dead.slice;
        must(slices.get(id)?.permits === dead.permits, 'permits are taken as long as what has them may send');
        for (const place of inDoubt(dead))
          must(
            chains.get(triggers[place]?.user ?? '')?.place !== 'ready',
            'nobody is ready of whom something may be in flight',
          );
      }
    }
  }
}

function isOver({ slice, diedAt }: Dead, now: number): boolean {
  return now >= diedAt + sliceEndsWithinMs(slice.settings.requestTimeoutMs);
}

/** The places of which nobody knows what became of them. Of a person of whom a request has failed, no other was made after it. */
function inDoubt({ slice: { triggers }, known, progress }: Dead): number[] {
  const settled = new Set([...known, ...progress.failed.map(({ index }) => index)]);
  const failed = new Set(progress.failed.map(({ index }) => triggers[index]?.user));
  return [...triggers.keys()].filter((place) => !settled.has(place) && !failed.has(triggers[place]?.user));
}

function mustRest(dead: Dead, running: readonly string[]): void {
  for (const place of inDoubt(dead))
    must(
      !running.includes(dead.slice.triggers[place]?.user ?? ''),
      'nobody is sent anything while something older may be in flight',
    );
}
