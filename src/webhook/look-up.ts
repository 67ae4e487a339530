import { lookup, type LookupAddress, promises } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { codeOf } from '../domain/error-code.ts';

/** Looks up all addresses of a name, like `dns.lookup` with `all`. */
export type LookUp = (
  hostname: string,
  options: { readonly all: true; readonly family?: number },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface LookUpOptions {
  /** Name servers, such as `127.0.0.1:53`. Default: the system's. */
  readonly servers?: readonly string[];
  /** A file like `/etc/hosts`: name servers are not asked about the names in it. */
  readonly hostsFile?: string;
  /** Asked about names that name servers do not know: it knows search domains and other name services. Default: `dns.lookup`. */
  readonly system?: LookUp;
  /** Longest time, in ms, to wait for name servers. Default: 5,000. */
  readonly timeoutMs?: number;
}

/** Codes with which name servers say at once that they have nothing: the system may still know the name. */
const UNKNOWN = new Set(['ENOTFOUND', 'ENODATA', 'ECONNREFUSED']);
const HOSTS_FILE = '/etc/hosts';

/**
 * Looks names up so that a name whose name servers are silent delays no other. `dns.lookup` has two of libuv's four threads for all names
 * together, and each look-up occupies one for as long as the system's resolver waits; so it is asked only about names that name servers do not
 * know. Callers that ask for the same name at the same time share one look-up; nothing is cached afterwards.
 */
export function createLookUp(options: LookUpOptions = {}): LookUp {
  const underWay = new Map<string, Promise<LookupAddress[]>>();
  return (hostname, { family }, callback) => {
    const key = `${hostname} ${family}`;
    let addresses = underWay.get(key);
    if (addresses === undefined) {
      addresses = find(hostname, family, options).finally(() => underWay.delete(key));
      underWay.set(key, addresses);
    }
    addresses.then(
      (found) => callback(null, [...found]),
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

/** Shared by all connections of a worker. */
export const sharedLookUp = createLookUp();

async function find(
  hostname: string,
  family: number | undefined,
  { servers, hostsFile = HOSTS_FILE, system = lookup, timeoutMs = 5000 }: LookUpOptions,
): Promise<LookupAddress[]> {
  if (!(await isInHosts(hostname, hostsFile))) {
    const found = await ask(hostname, family, servers, timeoutMs);
    if (found !== 'unknown') return found;
  }
  return await new Promise((resolve, reject) => {
    system(hostname, { all: true, ...(family === undefined ? {} : { family }) }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
}

/** Asks name servers by c-ares, which needs no thread. Each name has its own resolver, so that it can be cancelled alone and uses the current servers. */
async function ask(
  hostname: string,
  family: number | undefined,
  servers: readonly string[] | undefined,
  timeoutMs: number,
): Promise<LookupAddress[] | 'unknown'> {
  // The second try waits twice as long as the first, so together they take `timeoutMs`.
  const resolver = new promises.Resolver({ timeout: Math.ceil(timeoutMs / 3), tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const timer = setTimeout(() => resolver.cancel(), timeoutMs);
  const [fours, sixes] = await Promise.allSettled([
    family === 6 ? [] : resolver.resolve4(hostname),
    family === 4 ? [] : resolver.resolve6(hostname),
  ]);
  clearTimeout(timer);
  const found = [...addressesOf(fours, 4), ...addressesOf(sixes, 6)];
  if (found.length > 0) return found;
  if ([fours, sixes].every((one) => one.status === 'fulfilled' || UNKNOWN.has(codeOf(one.reason) ?? '')))
    return 'unknown';
  throw Object.assign(new Error(`The name servers did not say where ${hostname} is.`), { code: 'EAI_AGAIN' });
}

function addressesOf(outcome: PromiseSettledResult<string[]>, family: 4 | 6): LookupAddress[] {
  return outcome.status === 'fulfilled' ? outcome.value.map((address) => ({ address, family })) : [];
}

async function isInHosts(hostname: string, file: string): Promise<boolean> {
  const name = hostname.toLowerCase();
  let text = '';
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return false; // Not every system has such a file.
  }
  return text.split('\n').some((line) => line.replace(/#.*/, '').toLowerCase().split(/\s+/).slice(1).includes(name));
}
