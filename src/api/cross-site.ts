import type { FastifyRequest } from 'fastify';
import { isOfOtherPage, originFault } from '../domain/origin-check.ts';
import { Refused } from './refusal.ts';

const NO_KEYS =
  'The API has no keys, so it is for this machine only, and for nothing that a proxy passes on. Make a key with: triggers secrets new --api-key';
const OTHER_PAGE = 'Pages of other sites may not ask.';

/**
 * Without keys, a page that somebody on this machine has open must not be able to ask: it comes from elsewhere, or asks by another name.
 * @param passedOn what is said of a request that a proxy passed on.
 */
export function rejectForeignOrigin(request: FastifyRequest, passedOn = NO_KEYS): void {
  const wrongHost = 'The API is not asked by that name. Use 127.0.0.1 or localhost.';
  const words = { PassedOn: passedOn, WrongHost: wrongHost, WrongOrigin: OTHER_PAGE } as const;
  const stranger = originFault(request.raw, isForAll(request));
  if (stranger !== undefined) throw new Refused(403, stranger, words[stranger]);
}

/**
 * Refuses what a page of another site asks for; one that only follows a link from there to a page of ours may, since the other sees nothing of it.
 * @throws Refused
 */
export function rejectCrossSite(request: FastifyRequest): void {
  if (isOfOtherPage(request.raw, isForAll(request))) throw new Refused(403, 'WrongOrigin', OTHER_PAGE);
}

function isForAll({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.right === undefined;
}
