import type { ApiServerOptions } from '../../api/api-server.ts';
import type { ApiKeys } from '../../api/callers.ts';
import { keyEnds, ownFindings } from './findings.ts';

/** Warns once of each key that expires soon, or has expired. */
export function expiryWarnings(log: ApiServerOptions['log'], now: () => number): (keys: ApiKeys) => void {
  const told = new Set<string>();
  return (keys) => {
    for (const { facts } of ownFindings(keyEnds(keys.list()), now())) {
      const [of, at] = [String(facts['of']), String(facts['at'])];
      const event = Date.parse(at) > now() ? 'an API key expires soon' : 'an API key has expired';
      if (!told.has(`${event} ${of} ${at}`)) log.warn({ problem: `${of} ${at}` }, event);
      told.add(`${event} ${of} ${at}`);
    }
  };
}
