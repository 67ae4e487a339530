import { defineSearchAttributeKey } from '@temporalio/common';
import { setCurrentDetails, upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { JobDefinition } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import { stringifyJson } from '../domain/json.ts';
import { audienceAttribute } from '../domain/names.ts';
import { jobMemo } from '../domain/workflow-visibility.ts';

const JOB_ID = defineSearchAttributeKey('ExportJobId', 'KEYWORD');
const STATUS = defineSearchAttributeKey('ExportJobStatus', 'KEYWORD');
const AUDIENCES = defineSearchAttributeKey('ExportAudiences', 'KEYWORD_LIST');

/** The least time between two renewals of the details while slices run: they are read far less often than the job changes. */
const DETAILS_EVERY_MS = 500;

/** Shows a job in the Temporal UI: details as a small table, memo, search attributes. */
export class JobVisibility {
  readonly #detailsOf: (status: JobStatus) => string;
  #shownAt = 0;
  /** Memo and attributes follow from these, as JSON. */
  #record = '';

  /** @param detailsOf a status as the Temporal UI shows it with the workflow. */
  constructor(detailsOf: (status: JobStatus) => string) {
    this.#detailsOf = detailsOf;
  }

  /** Shows a status; updates attributes and memo only where they differ from those that the run has, since each update costs an event. */
  show(status: JobStatus, definition: JobDefinition, hasAttributes: boolean, now: number): void {
    const { revision, state, kept, inFlight } = status;
    const record = stringifyJson([revision, state, kept]);
    if (record !== this.#record) {
      const isFirst = this.#record === '';
      this.#record = record;
      showMemo(memoOf(status, definition), isFirst);
      if (hasAttributes) showAttributes(status);
    }
    if (inFlight > 0 && now - this.#shownAt < DETAILS_EVERY_MS) return;
    this.#shownAt = now;
    setCurrentDetails(this.#detailsOf(status));
  }
}

function showMemo(memo: Readonly<Record<string, unknown>>, isFirst: boolean): void {
  const { memo: shown = {}, continuedFromExecutionRunId } = workflowInfo();
  // A client wrote it, perhaps with a payload key that other clients lack.
  const isForeign = isFirst && continuedFromExecutionRunId === undefined;
  const changed = Object.entries(memo).filter(([name, value]) => isForeign || !isSame(value, shown[name]));
  // Writes `undefined` only to clear a value: an encrypted `undefined` would look like a value to readers without the key.
  const isCleared = memo['kept'] === undefined && shown['kept'] !== undefined;
  if (changed.length > 0 || isCleared)
    upsertMemo({ ...Object.fromEntries(changed), ...(isCleared ? { kept: undefined } : {}) });
}

function showAttributes({ jobId, state, audiences }: JobStatus): void {
  const { typedSearchAttributes: shown } = workflowInfo();
  const ids = audiences.map(({ id }) => audienceAttribute(id));
  const changed = [
    ...(shown.get(JOB_ID) === jobId ? [] : [{ key: JOB_ID, value: jobId }]),
    ...(shown.get(STATUS) === state ? [] : [{ key: STATUS, value: state }]),
    ...(isSame(shown.get(AUDIENCES), ids) ? [] : [{ key: AUDIENCES, value: ids }]),
  ];
  if (changed.length > 0) upsertSearchAttributes(changed);
}

function isSame(one: unknown, other: unknown): boolean {
  return stringifyJson([one]) === stringifyJson([other]);
}

/** By `kept`, clients know a stopped job, also where the namespace has no search attributes and no worker runs. */
export function memoOf({ audiences, kept }: JobStatus, definition: JobDefinition): Record<string, unknown> {
  return { ...jobMemo(definition, audiences), ...(kept === undefined ? {} : { kept }) };
}
