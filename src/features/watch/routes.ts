import { WatchNotFound } from './errors.ts';
import type { Watches } from './watches.ts';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { JobClient } from '../../client/job-client.ts';
import type { WatchStatus } from './sandbox/watch.ts';
import { watchOptionsSchema } from './watch-options.ts';
import { isRecord } from '../../domain/json.ts';
import type { Caller } from '../../api/callers.ts';
import { reason } from '../../api/job-routes.ts';
import { checkedBody, serve } from '../../api/operation.ts';
import { ofAllJobs, Refused } from '../../api/refusal.ts';
import { Usable } from '../../api/usable.ts';

const status = z
  .looseObject({ state: z.string(), audience: z.looseObject({ id: z.string(), slug: z.string() }) })
  .describe('The status of the watch: docs/watch.md#the-status');

const deed = z.object({ reason });

/** Watches: everything that the client and the command line can do about them. An audience is named by its slug or id. */
export function watchRoutes(app: FastifyInstance, jobs: JobClient & { readonly watches: Watches }): void {
  const { watches } = jobs;
  const tag = 'Incoming changes';
  serve(app, {
    method: 'GET',
    url: '/v1/watches',
    right: 'read',
    tag,
    summary: 'The watched audiences, with the status of each watch',
    answers: {
      200: z.object({
        watches: z.array(z.looseObject({ audience: z.looseObject({ slug: z.string() }), status: status.optional() })),
      }),
    },
    run: async ({ caller }) => {
      const usable = new Usable(caller, jobs);
      const own = await usable.among(await watches.list(), ({ audience }) => usable.mayAudience(audience));
      return {
        watches: own.map(({ status: one, ...rest }) => ({
          ...rest,
          ...(one === undefined ? {} : { status: shownTo(caller, one) }),
        })),
      };
    },
  });
  serve(app, {
    method: 'POST',
    url: '/v1/watches',
    right: 'operate',
    tag,
    summary: 'Start watches, or change their settings',
    body: watchOptionsSchema.partial().extend({ audiences: z.array(z.string()).describe('Slugs or ids.'), reason }),
    answers: {
      200: z.object({
        watches: z.array(
          z.looseObject({
            isNew: z.boolean().describe('Whether the audience was not watched before.'),
            status,
            warnings: z.array(z.string()),
          }),
        ),
      }),
    },
    run: async ({ caller, by, body }) => {
      checkAllowed(caller);
      if (!isRecord(body))
        throw new Refused(
          422,
          'InvalidRequest',
          'The body must be a JSON object: {"audiences":["vip"],"everyMs":300000}.',
        );
      const { audiences, reason: why, ...options } = body;
      // The client checks all three.
      return { watches: await watches.start(audiences as string[], options, { by, reason: why as string }) };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/watches/:audience',
    right: 'read',
    tag,
    summary: 'The status of a watch',
    answers: { 200: status },
    run: async ({ caller, params: { audience = '' } }) => {
      if (!(await new Usable(caller, jobs).mayAudience(audience))) throw new WatchNotFound(audience);
      return shownTo(caller, await watches.status(audience));
    },
  });
  const commands = [
    ['now', 'Start a round now', 'startRound'],
    ['accept', 'Accept the held exits', 'accept'],
    ['stop', 'Stop a watch', 'stop'],
  ] as const;
  for (const [name, summary, command] of commands)
    serve(app, {
      method: 'POST',
      url: `/v1/watches/:audience/${name}`,
      right: 'operate',
      tag,
      summary,
      body: deed,
      bodyIsOptional: true,
      answers: { 200: status },
      run: async ({ caller, by, params: { audience = '' }, body }) => {
        checkAllowed(caller);
        return await watches[command](audience, { ...checkedBody(deed, body ?? {}), by });
      },
    });
}

/** @throws Refused when the key is for some jobs: changes found by a watch go to all jobs that subscribe */
function checkAllowed({ jobs }: Caller): void {
  if (jobs !== undefined) throw ofAllJobs('a watch publishes to');
}

/** A watch for a caller with access to some jobs only: it names jobs that they must not see. Exported for its test. */
export function shownTo(caller: Pick<Caller, 'jobs' | 'mayJob'>, shown: WatchStatus): WatchStatus {
  const { last } = shown;
  if (caller.jobs === undefined || last === undefined) return shown;
  const { unreadable, behind, lost, ...published } = last.published;
  const own = {
    ...published,
    unreadable: unreadable.filter((jobId) => caller.mayJob(jobId)),
    ...(behind === undefined ? {} : { behind: behind.filter((jobId) => caller.mayJob(jobId)) }),
    ...(lost === undefined ? {} : { lost: lost.filter(({ jobId }) => caller.mayJob(jobId)) }),
  };
  return { ...shown, last: { ...last, published: own } };
}
