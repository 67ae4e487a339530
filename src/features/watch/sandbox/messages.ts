import { defineQuery, defineUpdate } from '@temporalio/workflow';
import type { By } from '../../../contract/audit.ts';
import type { WatchChange, WatchStatus } from './watch.ts';

// The public messages of a watch. Each update answers at once with its new status, and may be told who asks as its second argument.

export const watchStatusQuery = defineQuery<WatchStatus>('status');
/** Change how it watches, from the next round on; a new interval counts from the last round. */
export const changeWatchUpdate = defineUpdate<WatchStatus, [WatchChange, By?]>('change');
/** Start a round now, or right after the current one. */
export const startRoundUpdate = defineUpdate<WatchStatus, [nothing?: object, by?: By]>('now');
/** Accept the held exits: they are right. */
export const acceptHeldUpdate = defineUpdate<WatchStatus, [nothing?: object, by?: By]>('accept');
/** Stop the watch, after a round that is being published. */
export const stopWatchUpdate = defineUpdate<WatchStatus, [nothing?: object, by?: By]>('stop');
