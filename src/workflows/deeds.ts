import { proxySinks } from '@temporalio/workflow';
import type { LoggedDeed } from '../contract/audit.ts';
import type { WorkerSinks } from '../contract/ports.ts';
import { instantOf } from '../domain/instant.ts';

/** Tells the worker's delivery log what somebody did. A replay does not tell it again. @param n counts the deeds of this run, or of its job. */
export function tellDeed(n: number, deed: Omit<LoggedDeed, 'at'> & Partial<LoggedDeed>): void {
  proxySinks<WorkerSinks>().deeds.done(n, { at: instantOf(Date.now()), ...deed });
}
