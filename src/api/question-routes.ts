import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { JobClient } from '../client/job-client.ts';
import type { AudienceList } from '../contract/audience.ts';
import { findAudience } from '../domain/names.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { serve } from './operation.ts';
import { Refused } from './refusal.ts';
import { Usable } from './usable.ts';

/** Questions to workers and jobs. */
export function questionRoutes(app: FastifyInstance, jobs: JobClient): void {
  const tag = 'Questions';
  serve(app, {
    method: 'GET',
    url: '/v1/audiences',
    right: 'read',
    tag,
    summary: 'The audiences of the source, with their sizes if it gives them',
    answers: { 200: z.looseObject({ audiences: z.array(z.looseObject({ id: z.string(), slug: z.string() })) }) },
    run: async ({ caller }) => {
      const list = await jobs.audiences();
      const usable = new Usable(caller, jobs);
      const audiences = await usable.among(list.audiences, (one) => usable.mayAudience(one));
      return { audiences, total: usable.isLimited ? audiences.length : list.total };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/audiences/:audience/fields',
    right: 'read',
    tag,
    summary: 'Which fields exportFields may name',
    answers: { 200: z.object({ fields: z.array(z.string()) }) },
    run: async ({ caller, params: { audience = '' } }) => {
      const usable = new Usable(caller, jobs);
      if (!(await usable.mayAudience(audience))) throw noSuchAudience(audience);
      const fields = await jobs.profileFields(audience);
      if (fields.length === 0) checkAudience(audience, await jobs.audiences(), !usable.isLimited);
      return { fields };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/authorizations',
    right: 'read',
    tag,
    summary: 'Which authorizations a job may name; no secret of them',
    answers: { 200: z.object({ authorizations: z.array(z.looseObject({ name: z.string() })) }) },
    run: async ({ caller }) => {
      const authorizations = await jobs.authorizations();
      const usable = new Usable(caller, jobs);
      return { authorizations: await usable.among(authorizations, ({ name }) => usable.mayAuthorization(name)) };
    },
  });
}

/** @throws Refused when the source has no such audience. If only a part of the audiences is listed, it may be among the rest. */
function checkAudience(name: string, { audiences, total }: AudienceList, mayHint: boolean): void {
  if (audiences.length < total || findAudience(audiences, name) !== undefined) return;
  const near = nearestKey(
    name,
    audiences.map(({ slug }) => slug),
  );
  throw noSuchAudience(name, near === undefined || !mayHint ? '' : ` Did you mean "${near}"?`);
}

function noSuchAudience(name: string, hint = ''): Refused {
  return new Refused(404, 'NoSuchAudience', `The source has no audience "${name}".${hint}`);
}
