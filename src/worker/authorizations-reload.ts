import type { Config } from '../config/config.ts';
import { NetworkPolicy } from '../webhook/network-policy.ts';
import { ConfigError } from '../config/problems.ts';

type Configured = Config['authorizations'];

export interface ReloadOptions {
  /** Reads the configuration anew; throws when it cannot be used. */
  readonly read: () => Configured;
  /** What the worker began with. */
  readonly initial: Configured;
  readonly replace: (authorizations: Configured) => void;
  readonly log: {
    readonly info: (message: string, fields: Readonly<Record<string, unknown>>) => void;
    readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  };
  /** In ms. Default: 5 s. */
  readonly everyMs?: number;
}

/** Looks at the configuration until it is ended. */
export interface AuthorizationsReload {
  /** Why what the last look found cannot be used, for whoever asks; undefined when it can. The log says it in full. */
  readonly problem: () => string | undefined;
  readonly end: () => void;
}

const EVERY_MS = 5_000;
/** Without the reason: where it is asked for, nobody proves who they are. */
const CONFIG_STAYS =
  'The changed configuration cannot be used, and the one before stays: the log of the worker says why.';

/**
 * Looks at the configuration and the files it refers to every few seconds, and has changed authorizations taken over: secrets are rotated without a
 * restart. Looking, rather than being told, is what works with every kind of mounted secret. What cannot be used is said once, and what was before
 * stays.
 */
export function reloadAuthorizations({
  read,
  initial,
  replace,
  log,
  everyMs = EVERY_MS,
}: ReloadOptions): AuthorizationsReload {
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
  return { problem: () => (lastProblem === '' ? undefined : CONFIG_STAYS), end: () => clearInterval(timer) };
}

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
