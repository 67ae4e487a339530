import type { PackedTriggers } from '../../../src/contract/holder.ts';
import type { Step } from '../../../src/domain/job/steps.ts';
import { holderRead, holdersDropped, loadFailed } from '../../../src/domain/job/holders.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { type ModelLedger, must } from './model-ledger.ts';

type HolderStep = Extract<Step, { kind: 'spill' | 'load' | 'drop' | 'keep-dead-letters' }>;
/** How an activity ends: done, or done without our hearing of it, or not done at all. */
export type End = 'done' | 'unmatched' | 'failed';

/** The workflows around a job in the model, holders and dead letters, and the activities on their way to them. */
export class ModelHolders {
  readonly #contents = new Map<string, PackedTriggers>();
  readonly #dropped = new Set<string>();
  /** Those that nobody can read. */
  readonly #damaged = new Set<string>();
  readonly #ledger: ModelLedger;
  #underWay: HolderStep[] = [];

  constructor(ledger: ModelLedger) {
    this.#ledger = ledger;
  }

  get isQuiet(): boolean {
    return this.#underWay.length === 0;
  }

  /** Whether something is under way that no run may end before. */
  get isBusy(): boolean {
    return this.#underWay.some((step) => step.kind === 'keep-dead-letters');
  }

  /** Workflows that hold something. */
  get count(): number {
    return this.#contents.size;
  }

  /** One of the holders, if there is one, cannot be read any more. */
  damage(which: number): void {
    const name = [...this.#contents.keys()][which % Math.max(1, this.#contents.size)];
    if (name !== undefined) this.#damaged.add(name);
  }

  /** The lost key is found. */
  heal(): void {
    this.#damaged.clear();
  }

  contentOf(name: string): PackedTriggers | undefined {
    return this.#contents.get(name);
  }

  /** What holders keep that are still needed. @param dropped those that are let go. */
  contentsBut(dropped: readonly string[]): PackedTriggers[] {
    return [...this.#contents].filter(([name]) => !dropped.includes(name)).map(([, content]) => content);
  }

  begin(step: HolderStep): void {
    this.#underWay.push(step);
  }

  /** The run ended: nobody hears of what is under way, which may happen all the same. */
  endRun(happens: boolean): void {
    if (happens) for (const step of this.#underWay) this.#happen(step);
    this.#underWay = [];
  }

  /** One of the activities ends. */
  end(state: DispatcherState, which: number, how: End, now: number): void {
    const [step] = this.#underWay.splice(which % Math.max(1, this.#underWay.length), 1);
    if (step === undefined) return;
    const content = how === 'failed' ? undefined : this.#happen(step);
    const isHeard = how === 'done';
    switch (step.kind) {
      case 'spill':
        return isHeard ? state.overflow.confirm(step.number) : state.overflow.spillFailed(step.number);
      case 'load':
        return isHeard && content !== undefined && !this.#damaged.has(String(step.number))
          ? holderRead(state, step.number, content, now)
          : loadFailed(state, step.number, 'It cannot be read.', now);
      case 'drop':
        state.underWay.delete(step.kind);
        return isHeard ? holdersDropped(state, step.holders) : undefined;
      case 'keep-dead-letters':
        return isHeard ? state.deadLetters.confirm(step.letters.keys()) : state.deadLetters.failed(step.letters.keys());
    }
  }

  #happen(step: HolderStep): PackedTriggers | undefined {
    if (step.kind === 'spill') this.#hold(String(step.number), step.content);
    if (step.kind === 'keep-dead-letters') for (const dead of step.letters.values()) this.#ledger.die(dead);
    if (step.kind === 'drop') {
      for (const name of step.holders) {
        this.#contents.delete(name);
        this.#dropped.add(name);
      }
    }
    if (step.kind !== 'load') return undefined;
    const content = this.#contents.get(String(step.number));
    must(content !== undefined, `holder ${step.number} is read while it holds something`);
    return content;
  }

  #hold(name: string, content: PackedTriggers): void {
    const before = this.#contents.get(name);
    must(before === undefined || JSON.stringify(before) === JSON.stringify(content), `holder ${name} has one content`);
    // The server refuses an id that was used before.
    if (!this.#dropped.has(name)) this.#contents.set(name, JSON.parse(JSON.stringify(content)) as PackedTriggers);
  }
}
