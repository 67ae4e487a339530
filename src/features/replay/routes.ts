import type { findTold, replay } from './replay.ts';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Methods } from '../../client/core.ts';
import type { JobClient } from '../../client/job-client.ts';
import { LEAST_ID_DIGITS } from '../../domain/delivery-id.ts';
import { gaps, gapsFor } from '../delivery-log/routes.ts';
import { reason } from '../../api/job-routes.ts';
import { checkedBody, serve } from '../../api/operation.ts';
import { Usable } from '../../api/usable.ts';

/** Longest time, in ms, for the delivery log to be read. */
const LONGEST_MS = 10 * 60_000;

const wish = z.object({
  since: z.string().optional().describe('RFC 3339: what was told since then. Needed without `deliveryId`.'),
  until: z.string().optional().describe('RFC 3339: and before. Default: now.'),
  user: z.string().optional(),
  audiences: z.array(z.string()).optional().describe("Slugs or ids of some of the job's audiences. Default: all."),
  deliveryId: z.string().optional().describe(`A webhook-id, or its first digits, at least ${LEAST_ID_DIGITS}.`),
  onlyLast: z.boolean().optional().describe('Only what each person was told last about each audience.'),
  newIds: z.boolean().optional().describe('With other webhook-ids, for a receiver that drops those it knows.'),
  requestId: z.string().optional().describe('With it, asking again starts nothing further.'),
  reason,
  dryRun: z.boolean().optional().describe('Only say what would be sent.'),
});

const replayed = z.looseObject({
  found: z.looseObject({
    enters: z.number().int(),
    exits: z.number().int(),
    people: z.number().int(),
    outdated: z.number().int().describe('Left out, since something newer was told.'),
    foreign: z
      .number()
      .int()
      .describe('Left out, since the job no longer has that audience or event, or its id was another job’s.'),
    first: z.array(z.looseObject({ user: z.string() })).describe('The first of them; none to a key that may not read.'),
    gaps,
  }),
  status: z.looseObject({}).optional().describe('The status of the job, once it is being sent.'),
});

type Replaying = JobClient & Methods<{ findTold: typeof findTold; replay: typeof replay }>;

/** Sends an endpoint again what it was told. */
export function replayRoutes(app: FastifyInstance, jobs: Replaying): void {
  serve(app, {
    method: 'POST',
    url: '/v1/jobs/:job/replay',
    right: 'operate',
    tag: 'Jobs',
    summary: 'Send again what the endpoint was told, from the delivery log',
    body: wish,
    answers: { 200: replayed },
    longestMs: LONGEST_MS,
    run: async ({ caller, by, params: { job = '' }, body }) => {
      const { dryRun = false, newIds, requestId, reason, ...asked } = checkedBody(wish, body);
      await new Usable(caller, jobs).checkJob(job, asked.audiences);
      const told = await jobs.findTold(job, asked);
      const gaps = gapsFor(caller, told.gaps ?? []);
      const found = { ...told, gaps, ...(caller.may('read') ? {} : { first: [] }) };
      if (dryRun || told.enters + told.exits === 0) return { found };
      return { found, status: await jobs.replay(job, told, { by, reason, newIds, requestId }) };
    },
  });
}
