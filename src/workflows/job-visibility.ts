import { defineSearchAttributeKey } from '@temporalio/common';
import { setCurrentDetails, upsertMemo, upsertSearchAttributes } from '@temporalio/workflow';
import type { JobDefinition } from '../contract/export-job.ts';
import type { JobState, JobStatus } from '../contract/job-status.ts';
import { stringifyJson } from '../domain/json.ts';
import { audienceAttribute } from '../domain/names.ts';
import { jobMemo } from '../domain/shown.ts';
import { detailsOf } from '../domain/status-rows.ts';

const JOB_ID = defineSearchAttributeKey('ExportJobId', 'KEYWORD');
const STATUS = defineSearchAttributeKey('ExportJobStatus', 'KEYWORD');
const AUDIENCES = defineSearchAttributeKey('ExportAudiences', 'KEYWORD_LIST');

/** The least time between two renewals of the details while slices run: they are read far less often than the job changes. */
const DETAILS_EVERY_MS = 500;

/** Shows a job in the Temporal UI: details as a small table, memo, search attributes. */
export class JobVisibility {
  #shownAt = 0;
  #phase: JobState | undefined;
  /** As JSON; undefined: the memo has none. */
  #kept: string | undefined;
  #revision: number | undefined;

  /** @param hasStopped whether its run begins as a stopped job, with a memo that says so. */
  constructor(hasStopped: boolean) {
    this.#kept = hasStopped ? '' : undefined;
  }

  /** Shows a status; updates attributes and memo only where they have changed, since each update costs an event. */
  show(status: JobStatus, definition: JobDefinition, hasAttributes: boolean, now: number): void {
    this.#showRecord(status, definition, hasAttributes);
    this.#showPhase(status.state, hasAttributes);
    if (status.inFlight > 0 && now - this.#shownAt < DETAILS_EVERY_MS) return;
    this.#shownAt = now;
    setCurrentDetails(detailsOf(status));
  }

  #showRecord(status: JobStatus, definition: JobDefinition, hasAttributes: boolean): void {
    const { jobId, revision, audiences } = status;
    const kept = status.kept && stringifyJson(status.kept);
    if (revision === this.#revision && kept === this.#kept) return;
    // Writes `undefined` only to clear a value: an encrypted `undefined` would look like a value to readers without the key.
    const cleared = kept === undefined && this.#kept !== undefined ? { kept: undefined } : {};
    this.#revision = revision;
    this.#kept = kept;
    upsertMemo({ ...memoOf(status, definition), ...cleared });
    if (!hasAttributes) return;
    upsertSearchAttributes([
      { key: JOB_ID, value: jobId },
      { key: AUDIENCES, value: audiences.map(({ id }) => audienceAttribute(id)) },
    ]);
  }

  #showPhase(phase: JobState, hasAttributes: boolean): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    if (hasAttributes) upsertSearchAttributes([{ key: STATUS, value: phase }]);
  }
}

/** By `kept`, clients know a stopped job, also where the namespace has no search attributes and no worker runs. */
export function memoOf({ audiences, kept }: JobStatus, definition: JobDefinition): Record<string, unknown> {
  return { ...jobMemo(definition, audiences), ...(kept === undefined ? {} : { kept }) };
}
