import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { Refused } from './refusal.ts';

/** Without keys, a page that somebody on this machine has open must not be able to ask: it comes from elsewhere, or asks by another name. */
export function refuseStrangers({ headers }: FastifyRequest): void {
  const name = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (!isLoopback(name))
    throw new Refused(403, 'WrongHost', 'The API is not asked by that name. Use 127.0.0.1 or localhost.');
  const site = headers['sec-fetch-site'];
  const isElsewhere = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (isElsewhere || (headers.origin !== undefined && headers.origin !== `http://${headers.host ?? ''}`))
    throw new Refused(403, 'WrongOrigin', 'Pages of other sites may not ask.');
}

export function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host.toLowerCase() === 'localhost';
  return host === '::1' || host.startsWith('127.');
}
