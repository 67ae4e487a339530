import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type Finding, HEALTH_STATES, healthOf } from './findings.ts';
import { serve } from '../../api/operation.ts';

const state = z.enum(HEALTH_STATES);

/** How long, in ms, all who ask get one answer, from its end on: it takes questions to each worker, and one to each job. */
const KEPT_MS = 2_000;

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
      finding ??= find().finally(() => {
        setTimeout(() => (finding = undefined), KEPT_MS).unref();
      });
      return healthOf(await finding, caller.jobs && ((jobId) => caller.mayJob(jobId)));
    },
  });
}
