import type { Activities } from '../../contract/ports.ts';
import type { WorkerRpc } from '../../domain/worker-rpc.ts';
import type { ComparedMembers, Comparison, TheirMembers } from './difference.ts';

/** The activities that make a difference; a backfill reads it (`listDifference`). */
export interface ReconcileActivities {
  /** Keeps a part of an endpoint's list. Calling it again changes nothing. */
  readonly keepTheirMembers: (part: TheirMembers) => Promise<void>;
  /** Reads all members, and writes down how the kept list differs from them. */
  readonly compareMembers: (comparison: Comparison) => Promise<ComparedMembers>;
}

export const KEEP_THEIR_MEMBERS: WorkerRpc<ReconcileActivities['keepTheirMembers']> = {
  method: 'keepTheirMembers',
  id: 'keep-their-members',
  summary: 'Keeps a part of a list of members to compare with',
  runs: 'short',
};
export const COMPARE_MEMBERS: WorkerRpc<ReconcileActivities['compareMembers']> = {
  method: 'compareMembers',
  id: 'compare-members',
  summary: 'Compares a list with the members of an audience',
  runs: 'long',
};
export const FORGET_DIFFERENCE: WorkerRpc<Activities['forgetDifference']> = {
  method: 'forgetDifference',
  id: 'forget-difference',
  summary: 'Removes a difference that is not sent',
  runs: 'short',
};
