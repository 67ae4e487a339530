import { NetworkPolicy } from '../webhook/network-policy.ts';
import type { Config } from './config.ts';
import { ConfigError } from './problems.ts';

/**
 * Refuses a configuration whose alerts or tokens could never be asked for: because its own `network` forbids their addresses, or because the
 * authorization of the alerts is not there. To be called again with what is to replace the authorizations of a running worker.
 *
 * @throws ConfigError
 */
export function checkDestinations({
  network,
  alerts,
  authorizations,
}: Pick<Config, 'network' | 'alerts' | 'authorizations'>): void {
  const policy = new NetworkPolicy(network);
  const mustBeAllowed = (setting: string, url: string | undefined): void => {
    const refusal = url === undefined ? undefined : policy.refusalOf(new URL(url));
    if (refusal !== undefined)
      throw new ConfigError(`The configuration is wrong: nothing can be sent to "${setting}". ${refusal}`);
  };
  mustBeAllowed('alerts.url', alerts.url);
  for (const [name, { oauth2 }] of Object.entries(authorizations))
    mustBeAllowed(`authorizations.${name}.oauth2.tokenUrl`, oauth2?.tokenUrl);
  if (alerts.authorization !== null && !Object.hasOwn(authorizations, alerts.authorization))
    throw new ConfigError(
      `The configuration is wrong: this worker sends its alerts with the authorization "${alerts.authorization}", which is no longer there. Restart the worker if they are sent with another one now.`,
    );
}
