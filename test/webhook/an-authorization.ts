import type { z } from 'zod';
import { type AuthorizationConfig, authorizationSchema } from '../../src/authorizations/authorization-config.ts';
import { ConfiguredAuthorizations } from '../../src/authorizations/authorizations.ts';
import { GuardedAgents } from '../../src/network/guarded-agents.ts';
import { afterwards } from './a-server.ts';
import { THIS_MACHINE } from './an-attempt.ts';

export type Inputs = Readonly<Record<string, z.input<typeof authorizationSchema>>>;

/** Authorizations as they would be read from a configuration file. */
export function configured(inputs: Inputs): Record<string, AuthorizationConfig> {
  return Object.fromEntries(Object.entries(inputs).map(([name, one]) => [name, authorizationSchema.parse(one)]));
}

/** What an authorization server answers that gives a token. */
export function givesToken(token: string) {
  const body = JSON.stringify({ access_token: token, token_type: 'bearer', expires_in: 3600 });
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

/** The authorizations of a worker with this configuration; token endpoints may be on this machine. */
export function authorizationsOf(inputs: Inputs, fetched?: (isFetched: boolean) => void): ConfiguredAuthorizations {
  const agents = new GuardedAgents({ policy: THIS_MACHINE, timeoutMs: 3000 });
  afterwards(() => agents.close());
  return new ConfiguredAuthorizations(configured(inputs), agents, fetched);
}
