import type { Activities } from '../contract/ports.ts';

/** A question that a client may have a workflow ask a worker. An activity answers it. */
export interface WorkerRpc<Activity extends Answering = Answering> {
  /** The name of the activity. */
  readonly method: string;
  /** How the workflow's id begins, as the Temporal UI shows it. */
  readonly id: string;
  /** The question, as the Temporal UI shows it. */
  readonly summary: string;
  /** `once` starts no second try, so that an endpoint gets no more than the person asked for; `long` reads all members. */
  readonly runs: 'short' | 'long' | 'once';
  /** Always absent: it carries the type of the activity. */
  readonly activity?: Activity;
}

type Answering = (...argument: never[]) => Promise<unknown>;

/** How long, in ms, a worker first tries to answer a short question within the workflow task that asks it. */
export const QUICK_MS = 500;

/** Null where the activity takes nothing. */
export type RpcArgument<Activity extends Answering> = Parameters<Activity> extends [infer Argument] ? Argument : null;

export type RpcAnswer<Activity extends Answering> = Awaited<ReturnType<Activity>>;

export const PREPARE_JOB: WorkerRpc<Activities['prepareJob']> = {
  method: 'prepareJob',
  id: 'check-export-job',
  summary: 'Checks a job before it starts',
  runs: 'short',
};
export const LIST_AUTHORIZATIONS: WorkerRpc<Activities['listAuthorizations']> = {
  method: 'listAuthorizations',
  id: 'list-authorizations',
  summary: 'Lists the authorizations of a worker',
  runs: 'short',
};
export const LIST_AUDIENCES: WorkerRpc<Activities['listAudiences']> = {
  method: 'listAudiences',
  id: 'list-audiences',
  summary: 'Lists the audiences of the source',
  runs: 'short',
};
export const LIST_PROFILE_FIELDS: WorkerRpc<Activities['listProfileFields']> = {
  method: 'listProfileFields',
  id: 'list-profile-fields',
  summary: 'Lists the fields of profiles',
  runs: 'short',
};
/** The questions of the client itself. */
export const JOB_RPCS: readonly WorkerRpc[] = [PREPARE_JOB, LIST_AUTHORIZATIONS, LIST_AUDIENCES, LIST_PROFILE_FIELDS];
