import { z } from 'zod';
import type { Remedy, RemedyWords } from '../domain/remedy.ts';

const job = ({ job: id = '{job}' }: Remedy): string => `/v1/jobs/${id}`;

/** The request that does each; undefined where only whoever runs the program can do it. */
const REQUESTS: RemedyWords = {
  listJobs: () => 'GET /v1/jobs',
  status: (remedy) => `GET ${job(remedy)}`,
  start: () => 'POST /v1/jobs',
  edit: (remedy) => `PATCH ${job(remedy)}`,
  resume: (remedy) => `POST ${job(remedy)}/resume`,
  recover: (remedy) => `POST ${job(remedy)}/recover`,
  discard: (remedy) => `POST ${job(remedy)}/stop with {"waiting":"discard"}`,
  discardRecoverable: () => 'POST /v1/jobs?discardRecoverable=1',
  listWatches: () => 'GET /v1/watches',
  listDeadLetters: () => 'GET /v1/dead-letters',
  deadLetter: ({ id = '{id}' }) => `GET /v1/dead-letters/${id}`,
  force: () => 'add force=1',
  render: () => 'POST /v1/render',
  startWorker: () => undefined,
  startTemporal: () => undefined,
  findTest: () => undefined,
};

/** A remedy in the body of a failure. */
export type AnsweredRemedy = Remedy & { readonly request?: string | undefined };

export function answered(remedy: Remedy): AnsweredRemedy {
  return { ...remedy, request: REQUESTS[remedy.action](remedy) };
}

/** For the documentation. */
export const remediesSchema = z
  .array(
    z.object({
      action: z.string(),
      job: z.string().optional(),
      id: z.string().optional(),
      request: z.string().optional().describe('The request that does it; absent where only an operator can.'),
    }),
  )
  .optional()
  .describe('What can be done about it, best first.');
