import type { CoreConfig } from '../config/core-config.ts';
import { NetworkPolicy } from '../network/network-policy.ts';
import { ConfigError } from '../config/problems.ts';

type Configured = CoreConfig['authorizations'];

export interface ReloadOptions {
  /** Reads the configuration anew; throws when it cannot be used. */
  readonly read: () => Configured;
  /** The authorizations that the worker began with. */
  readonly initial: Configured;
  readonly replace: (authorizations: Configured) => void;
  readonly log: {
    readonly info: (message: string, fields: Readonly<Record<string, unknown>>) => void;
    readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  };
  /** In ms. Default: 5 s. */
  readonly everyMs?: number;
}

/** Polls the configuration until it is ended. */
export interface AuthorizationsReload {
  /** Why the changed configuration cannot be used, for anybody who asks; undefined when it can. The log has the details. */
  readonly problem: () => string | undefined;
  /** The authorizations in use. */
  readonly current: () => Configured;
  readonly end: () => void;
}

const EVERY_MS = 5_000;
/** Without the reason: callers of `/readyz` do not prove who they are. */
const CONFIG_STAYS =
  'The changed configuration cannot be used, and the one before stays: the log of the worker says why.';

/**
 * Reads the configuration and the files it refers to every few seconds, and replaces changed authorizations: secrets are rotated without a restart.
 * Polling works with every kind of mounted secret. A configuration that cannot be used is logged once, and the previous one stays.
 */
export function reloadAuthorizations({
  read,
  initial,
  replace,
  log,
  everyMs = EVERY_MS,
}: ReloadOptions): AuthorizationsReload {
  let current = initial;
  let last = JSON.stringify(initial);
  let lastProblem = '';
  const look = (): void => {
    try {
      const authorizations = read();
      lastProblem = '';
      const now = JSON.stringify(authorizations);
      if (now === last) return;
      const removed = Object.keys(JSON.parse(last) as object).filter((name) => !Object.hasOwn(authorizations, name));
      replace(authorizations);
      current = authorizations;
      last = now;
      log.info('authorizations were reloaded', { authorizations: Object.keys(authorizations) });
      if (removed.length > 0)
        log.warn('authorizations were removed; jobs that use them wait', { authorizations: removed });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== lastProblem)
        log.warn('the changed configuration cannot be used; the one before stays', { problem });
      lastProblem = problem;
    }
  };
  const timer = setInterval(look, everyMs);
  timer.unref();
  return {
    problem: () => (lastProblem === '' ? undefined : CONFIG_STAYS),
    current: () => current,
    end: () => clearInterval(timer),
  };
}

/**
 * Refuses a configuration whose alerts can never be sent, or tokens never fetched: its own `network` forbids their addresses, or the authorization
 * of the alerts is missing. Call it again before the authorizations of a running worker are replaced.
 *
 * @throws ConfigError
 */
export function checkDestinations({
  network,
  alerts,
  authorizations,
}: Pick<CoreConfig, 'network' | 'alerts' | 'authorizations'>): void {
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
