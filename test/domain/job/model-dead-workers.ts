import type { SliceInput, SliceProgress } from '../../../src/contract/slice.ts';
import { silentAfterMs, sliceEndsWithinMs } from '../../../src/domain/job/dispatching.ts';
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
  /** Those of which the server still expects a heartbeat. */
  readonly #waitedFor = new Map<number, Dead>();
  /** Those that are in quarantine. */
  readonly #reclaimed = new Map<number, Dead>();

  get size(): number {
    return this.#waitedFor.size;
  }

  died({ slices }: DispatcherState, slice: SliceInput, heard: Pick<Dead, 'known' | 'progress'>, now: number): void {
    const permits = slices.get(slice.sliceId)?.permits ?? 0;
    this.#waitedFor.set(slice.sliceId, { slice, ...heard, diedAt: now, permits });
  }

  someReclaimed(which: number): number | undefined {
    return [...this.#reclaimed.keys()][which % Math.max(1, this.#reclaimed.size)];
  }

  /** Those that the server waits for no longer: the job reclaims them now. */
  timedOut(now: number): Dead[] {
    const silent = [...this.#waitedFor].filter(
      ([, { slice, diedAt }]) => now >= diedAt + silentAfterMs(slice.settings.requestTimeoutMs),
    );
    for (const [id, dead] of silent) {
      this.#waitedFor.delete(id);
      this.#reclaimed.set(id, dead);
    }
    return silent.map(([, dead]) => dead);
  }

  /** The run was ended from outside: of those that it had not reclaimed, nobody waits for anything. */
  forget(): Dead[] {
    const all = [...this.#waitedFor.values()];
    this.#waitedFor.clear();
    return all;
  }

  /** @param running the people in slices of workers that are alive. */
  check({ chains, slices }: DispatcherState, running: readonly string[], now: number): void {
    for (const dead of this.#waitedFor.values()) mustRest(dead, running);
    for (const [id, dead] of this.#reclaimed) {
      if (isOver(dead, now)) this.#reclaimed.delete(id);
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
