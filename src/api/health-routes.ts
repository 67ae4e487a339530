import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type Finding, HEALTH_STATES, healthOf } from '../domain/health.ts';
import { serve } from './operation.ts';

const state = z.enum(HEALTH_STATES);

/** The answer of `triggers doctor`. @param find checks everything. */
export function healthRoutes(app: FastifyInstance, find: () => Promise<Finding[]>): void {
  let finding: Promise<Finding[]> | undefined;
  serve(app, {
    method: 'GET',
    url: '/v1/health',
    right: 'read',
    tag: 'Health',
    summary: 'What is wrong with the installation, and what to do about it',
    answers: {
      200: z.object({
        state: state.describe('The worst of all findings.'),
        findings: z.array(
          z.looseObject({
            check: z.string(),
            state: state.describe('`unknown`: it could not be checked.'),
            job: z.string().optional(),
            facts: z.looseObject({}),
            problem: z.string().optional(),
            remedy: z.string().optional(),
          }),
        ),
      }),
    },
    run: async ({ caller }) => {
      // All who ask at the same time get one answer: it takes a question to each worker, and to each job.
      finding ??= find().finally(() => (finding = undefined));
      return healthOf(await finding, caller.jobs && ((jobId) => caller.mayJob(jobId)));
    },
  });
}
