import { unpackTriggers } from '../../../src/domain/job/queue/chain.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { isProfileHolder } from '../../../src/domain/trigger-run.ts';
import { SpilledProfile } from '../../../src/domain/trigger.ts';
import type { ModelHolders } from './model-holders.ts';
import { must } from './model-ledger.ts';

/** Profiles that do not come with their triggers: those of one signal are in one holder. */
export class ModelProfiles {
  #signals = 0;
  #places = 0;

  beginSignal(): void {
    this.#signals++;
    this.#places = 0;
  }

  next(): SpilledProfile {
    return new SpilledProfile([`h${String(this.#signals).padStart(15, '0')}`, this.#places++]);
  }

  /** Nobody needs what is let go, wherever it waits. */
  dropped(state: DispatcherState, holders: ModelHolders, names: readonly string[]): void {
    const profileHolders = names.filter(isProfileHolder);
    if (profileHolders.length === 0) return;
    const needed = neededAnywhere(state, holders);
    for (const name of profileHolders) must(!needed.has(name), `profiles in ${name} are needed when they are let go`);
  }
}

function neededAnywhere(state: DispatcherState, holders: ModelHolders): Set<string> {
  const waiting = [
    ...[...state.chains.all()].flatMap(({ triggers }) => triggers),
    ...[...state.overflow.here()].map(({ trigger }) => trigger),
    ...state.deadLetters.carry().map(({ trigger }) => trigger),
    ...holders.contentsBut(state.owedDrops).flatMap((content) => unpackTriggers(content).map(({ trigger }) => trigger)),
  ];
  return new Set(waiting.flatMap(({ profileRef }) => (profileRef === undefined ? [] : [profileRef[0]])));
}
