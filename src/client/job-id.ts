import type { Problem } from '../contract/export-job.ts';
import { JOB_ID_PATTERN } from '../domain/names.ts';

/**
 * A job id made from a label: lower-case letters and digits, everything else a dash, at most 100 characters; undefined when nothing of the
 * label is left.
 */
export function jobIdFromLabel(label: string): string | undefined {
  const plain = label.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase();
  const slug = plain
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 101)
    .replace(/^-/, '');
  return slug.slice(0, 100).replace(/-$/, '') || undefined;
}

/** Gives the job an id. A missing label is no problem here: the check reports it. */
export function nameJob(definition: unknown, jobId: string | undefined): { jobId: string; problems: Problem[] } {
  if (jobId !== undefined) {
    const message =
      'A job id has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit.';
    return { jobId, problems: JOB_ID_PATTERN.test(jobId) ? [] : [{ field: 'id', message }] };
  }
  const label: unknown = typeof definition === 'object' && definition !== null ? Reflect.get(definition, 'label') : '';
  const made = typeof label === 'string' ? jobIdFromLabel(label) : '';
  if (made !== undefined) return { jobId: made, problems: [] };
  const message = 'No job id can be made from this label: it has neither letters (a to z) nor digits. Give one (--id).';
  return { jobId: '', problems: label === '' ? [] : [{ field: 'id', message }] };
}
