import type { Activities } from '../contract/ports.ts';

/**
 * The activities that a client may have a workflow run for it: each answers a question about a worker.
 *
 * - `id`: how the workflow's id begins; `summary`: what it does. Both show in the Temporal UI.
 * - `runs`: `once` starts no second try, so that an endpoint gets no more than the person asked for; `long` reads all members.
 */
export const WORKER_RPCS = {
  prepareJob: { id: 'check-export-job', summary: 'Checks a job before it starts', runs: 'short' },
  prepareWatch: { id: 'check-watch', summary: 'Checks audiences before they are watched', runs: 'short' },
  keepTheirMembers: {
    id: 'keep-their-members',
    summary: 'Keeps a part of a list of members to compare with',
    runs: 'short',
  },
  compareMembers: { id: 'compare-members', summary: 'Compares a list with the members of an audience', runs: 'long' },
  forgetDifference: { id: 'forget-difference', summary: 'Removes a difference that is not sent', runs: 'short' },
  countTold: { id: 'count-told', summary: 'Counts what would be sent again', runs: 'long' },
  listAuthorizations: { id: 'list-authorizations', summary: 'Lists the authorizations of a worker', runs: 'short' },
  describeWorker: { id: 'describe-worker', summary: 'Asks a worker how it is', runs: 'short' },
  listAudiences: { id: 'list-audiences', summary: 'Lists the audiences of the source', runs: 'short' },
  listProfileFields: { id: 'list-profile-fields', summary: 'Lists the fields of profiles', runs: 'short' },
  sampleRequest: { id: 'sample-request', summary: 'Shows a request', runs: 'short' },
  sendSample: { id: 'send-sample', summary: 'Sends one message to try an endpoint', runs: 'once' },
} as const satisfies Partial<
  Record<keyof Activities, { readonly id: string; readonly summary: string; readonly runs: 'short' | 'long' | 'once' }>
>;

/** How long, in ms, a worker first tries to answer a short question within the workflow task that asks it. */
export const QUICK_MS = 500;

export type RpcMethod = keyof typeof WORKER_RPCS;

/** Null where the method takes nothing. */
export type RpcArgument<M extends RpcMethod> = Parameters<Activities[M]> extends [infer Argument] ? Argument : null;

export type RpcAnswer<M extends RpcMethod> = Awaited<ReturnType<Activities[M]>>;
