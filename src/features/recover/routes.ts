import type { FastifyInstance } from 'fastify';
import { jobCommand, type JobRoutesOptions } from '../../api/job-routes.ts';
import { serve } from '../../api/operation.ts';
import { recover } from './recover.ts';

/** The route that starts a terminated job again. */
export function recoverRoutes(app: FastifyInstance, { jobs, onChange }: JobRoutesOptions): void {
  const summary = 'Start a terminated job again, with what it had not delivered';
  serve(
    app,
    jobCommand(jobs, 'recover', summary, (job, deed) => recover(jobs.core, job, deed).finally(onChange)),
  );
}
