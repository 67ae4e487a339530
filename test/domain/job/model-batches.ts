import type { SliceInput, SliceReport, SliceTrigger } from '../../../src/contract/slice.ts';
import { canDispatch, maySend } from '../../../src/domain/job/dispatching.ts';
import { quotaLeft } from '../../../src/domain/job/throttles/quota.ts';
import { type DispatcherState, permitsInUse } from '../../../src/domain/job/state.ts';
import { keyOf, must } from './model-ledger.ts';

/** What a job with batches promises besides, held against what the model knows itself. */
export class ModelBatches {
  /** Since when somebody with a live trigger has been ready at every look, epoch ms. */
  #readySince: number | undefined;
  /** How many the next batch of a trigger may have, by its key: half of the one that was refused. */
  readonly #most = new Map<string, number>();

  /** Something happened after which a trigger may be sent as if it had never been refused. */
  forget(): void {
    this.#most.clear();
  }

  /** The job waits: for no batch longer than it may, where a request is free. */
  waits(state: DispatcherState, now: number): void {
    const { batch, parallelRequestCount, requestsPerSecond } = state.job.definition;
    const isReady = batch !== null && state.chains.live.size > 0;
    this.#readySince = isReady ? (this.#readySince ?? now) : undefined;
    const isFree = permitsInUse(state) < parallelRequestCount && state.slices.size < Math.min(parallelRequestCount, 16);
    const { isOpen, isUnproven, isRecovering } = state.breaker;
    if (batch === null || this.#readySince === undefined || !isFree || !maySend(state, now)) return;
    if (isOpen || isUnproven || isRecovering || requestsPerSecond !== null || quotaLeft(state, now) === 0) return;
    must(state.stopping === undefined, 'a job that stops waits for no batch to fill');
    must(now - this.#readySince < batch.afterMs, 'nothing waits longer than it may for its batch to fill');
    must(state.chains.liveTriggers(batch.size) < batch.size, 'a full batch waits for nothing');
    must(!canDispatch(state, now), 'a job that waits can dispatch nothing');
  }

  dispatched({ chains }: DispatcherState, { settings, triggers, permits }: SliceInput): void {
    if (chains.live.size === 0) this.#readySince = undefined;
    const { batch } = settings;
    if (batch === undefined) return;
    must(permits <= triggers.length, 'no permit is for nothing');
    for (const [place, trigger] of triggers.entries()) {
      const most = this.#most.get(keyOf(trigger));
      if (most === undefined || trigger.user === triggers[place - 1]?.user) continue;
      must((trigger.batchMost ?? batch.size) <= most, 'after a batch that was refused, the next is half as large');
    }
  }

  settled(
    state: DispatcherState,
    { triggers, settings }: SliceInput,
    { failed, unsent, halved = [] }: SliceReport,
  ): void {
    if (settings.batch === undefined) return;
    const isDead = ({ user, at }: Pick<SliceTrigger, 'user' | 'at'>) =>
      state.deadLetters.count((dead) => dead.user === user && dead.trigger.at === at) > 0;
    const first = new Set(failed.map(({ like }) => like));
    for (const { index, like } of failed) {
      const trigger = triggers[index];
      const isAlone = like === undefined && !first.has(index);
      must(trigger === undefined || isAlone || !isDead(trigger), 'nobody dies in company');
    }
    for (const trigger of triggers) this.#most.delete(keyOf(trigger));
    const heads = new Set(unsent.filter((place) => triggers[place]?.user !== triggers[place - 1]?.user));
    for (const [place, most] of halved) {
      const trigger = triggers[place];
      if (trigger === undefined) continue;
      must(!isDead(trigger), 'nobody is given up for what is wrong with others of their batch');
      const isOfBackfill = trigger.at.endsWith('000000000Z');
      if (heads.has(place) && !isOfBackfill) this.#most.set(keyOf(trigger), most);
    }
  }
}
