import { defineSearchAttributeKey } from '@temporalio/common';
import type { PreparedJob } from '../contract/ports.ts';
import { jobMemo } from '../domain/job-memo.ts';
import { utf8Bytes } from '../domain/json.ts';
import { audienceAttribute, SEARCH_ATTRIBUTES } from '../domain/names.ts';

// The server refuses a summary of more than 400 bytes; its quotes and encoding count.
const SUMMARY_BYTES = 300;

/** What lists and the Temporal UI show of a job before it has said anything itself. */
export function shownToPeople(jobId: string, prepared: PreparedJob & { ok: true }) {
  const { definition, audiences, missingSearchAttributes } = prepared;
  const attributes = [
    { key: defineSearchAttributeKey('ExportJobId', SEARCH_ATTRIBUTES.ExportJobId), value: jobId },
    { key: defineSearchAttributeKey('ExportJobStatus', SEARCH_ATTRIBUTES.ExportJobStatus), value: 'starting' },
    {
      key: defineSearchAttributeKey('ExportAudiences', SEARCH_ATTRIBUTES.ExportAudiences),
      value: audiences.map(({ id }) => audienceAttribute(id)),
    },
  ];
  return {
    staticSummary: cut(definition.label),
    memo: jobMemo({ ...definition, audiences }),
    // An attribute that the namespace lacks would refuse the start.
    ...(missingSearchAttributes.length > 0 ? {} : { typedSearchAttributes: attributes }),
  };
}

function cut(label: string): string {
  if (utf8Bytes(label) <= SUMMARY_BYTES) return label;
  const letters = [...label];
  while (utf8Bytes(letters.join('')) > SUMMARY_BYTES) letters.pop();
  return `${letters.join('')}…`;
}
