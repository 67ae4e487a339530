import type { Audience } from '../../contract/audience.ts';
import { audienceAttribute } from '../../domain/names.ts';
import { keyword, keywordList, summaryOf, jobMemo } from '../../domain/workflow-visibility.ts';
import type { JobDefinition } from '../../contract/export-job.ts';

/** The options that a job is started with: what lists and the Temporal UI show of it before it has reported anything itself. */
export function shownToPeople(
  jobId: string,
  job: {
    readonly definition: JobDefinition;
    readonly audiences: readonly Audience[];
    readonly missingSearchAttributes: readonly string[];
  },
) {
  const { definition, audiences, missingSearchAttributes } = job;
  const attributes = [
    keyword('ExportJobId', jobId),
    keyword('ExportJobStatus', 'running'),
    keywordList(
      'ExportAudiences',
      audiences.map(({ id }) => audienceAttribute(id)),
    ),
  ];
  return {
    staticSummary: summaryOf(definition.label),
    memo: jobMemo(definition, audiences),
    // With an attribute that the namespace does not have, the start would be refused.
    ...(missingSearchAttributes.length > 0 ? {} : { typedSearchAttributes: attributes }),
  };
}
