import { jobKept } from '../../../src/domain/job/operating.ts';
import { type CarriedJob, carryJob, restoreJob } from '../../../src/domain/job/carrying.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { resumedJob } from '../../../src/domain/kept-job.ts';
import { must } from './model-ledger.ts';

/** What a stopping job keeps in the model, and the activity on its way with it. */
export class ModelKeeping {
  #underWay: { readonly carried: string; readonly changes: number } | undefined;
  #kept: string | undefined;

  get isBusy(): boolean {
    return this.#underWay !== undefined;
  }

  begin(state: DispatcherState, changes: number): void {
    const carried = JSON.stringify(carryJob(state));
    must(carried.length <= state.budgets.carryBytes, 'what is kept is never too large');
    this.#underWay = { carried, changes };
  }

  /** The activity under way ends, if there is one. */
  end(state: DispatcherState): void {
    if (this.#underWay === undefined) return;
    this.#kept = this.#underWay.carried;
    jobKept(state, this.#underWay.changes);
    this.#underWay = undefined;
  }

  /** The run was ended from outside: nobody hears of what is under way, and a recovery drops what was kept. */
  endRun(): void {
    this.#underWay = undefined;
    this.#kept = undefined;
  }

  /** The job ended, and is resumed from what it kept. */
  resume(): DispatcherState {
    const kept = this.#kept;
    must(kept !== undefined && !this.isBusy, 'a job that keeps what waits does not end before it is kept');
    this.#kept = undefined;
    return restoreJob(resumedJob(JSON.parse(kept) as CarriedJob, 0));
  }
}
