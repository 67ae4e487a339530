import { lookup, type LookupAddress, promises } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { codeOf } from '../domain/errors.ts';

/** Everything that IANA has allocated as global unicast in IPv6. An address outside it is not public, whatever the library calls it. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');
/** Blocks inside it that are not publicly reachable: IETF protocol assignments, 6to4 and documentation (RFC 9637). */
const NOT_GLOBAL_IPV6 = ['2001::/23', '2002::/16', '3fff::/20'].map((cidr) => ipaddr.IPv6.parseCIDR(cidr));

/** Azure's own services answer every virtual machine at this address, keys and certificates included, though it is public. */
const AZURE_SERVICES = '168.63.129.16';

/**
 * Whether an address belongs to the public Internet (IANA special-purpose address registries, RFC 6890). An IPv6 address that embeds an IPv4
 * address (mapped, NAT64, 6to4, Teredo) does not count as public.
 *
 * @param address as `net.isIP` accepts it: other numeric spellings (`127.1`, `0x7f000001`) do not count as addresses here.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0 || address === AZURE_SERVICES) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  if (parsed instanceof ipaddr.IPv4) return true;
  if (parsed.zoneId !== undefined || !parsed.match(GLOBAL_IPV6)) return false;
  return !NOT_GLOBAL_IPV6.some((block) => parsed.match(block));
}

/** Networks (`10.0.0.0/8`, `fd00::/8`) and single addresses that an operator has named. */
export class AddressSet {
  readonly #list = new BlockList();
  readonly #size: number;

  /** @throws TypeError for a text that `isNetwork` rejects. */
  constructor(networks: readonly string[]) {
    this.#size = networks.length;
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      if (!isNetwork(network)) throw new TypeError(`"${network}" is not a network.`);
      this.#list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
    }
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** Whether a text is an address, or an address with a prefix length (`10.0.0.0/8`). */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
}

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

/** Codes with which name servers say at once that they have no answer. The system may still know the name. */
const UNKNOWN = new Set(['ENOTFOUND', 'ENODATA', 'ECONNREFUSED']);
const HOSTS_FILE = '/etc/hosts';

/**
 * Looks names up. A name whose name servers are silent delays no other. `dns.lookup` has two of libuv's four threads for all names together, and each
 * look-up occupies one for as long as the system's resolver waits. It is therefore asked only about names that name servers do not know. Callers that
 * ask for the same name at the same time share one look-up; nothing is cached afterwards.
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

/** Where a worker may send requests, as its operator configured it; a job cannot change it. */
export interface NetworkRules {
  /** Also allow plain `http:`. */
  readonly allowHttp: boolean;
  /** Networks that may be reached although they are not public, such as `10.0.0.0/8`. */
  readonly allowAddresses: readonly string[];
  /** Ports, or ranges of them (`1024-65535`). */
  readonly allowPorts: readonly string[];
  /** An HTTP proxy that requests are tunnelled through (CONNECT); names are still looked up and checked here. */
  readonly proxy?: string | undefined;
  /** Authorities that are trusted in addition to Node's, for endpoints and for the proxy: PEM, one or more certificates in each. */
  readonly certificateAuthorities?: readonly string[];
}

/** Where a connection would go. */
export interface Destination {
  readonly protocol: string;
  /** As in `URL.hostname`: IPv6 in brackets, IPv4 in its usual spelling. */
  readonly hostname: string;
  /** Empty: the protocol's default port. */
  readonly port: string;
}

/** The rules that a guarded connection is checked against. */
export interface ConnectionPolicy {
  readonly proxy: URL | undefined;
  readonly certificateAuthorities: readonly string[];
  /** Asked about the addresses that a name resolved to, and about the one that a socket is connected to. */
  allowsAddress(address: string): boolean;
  /** Whether this address or name, with this port, is one of our own places. Checked like `allowsAddress`, and for every URL. */
  isOurs(host: string, port: number): boolean;
  /** Why nothing may be sent there, as far as known before a name is looked up; undefined when nothing speaks against it. */
  refusalOf(to: Destination): string | undefined;
}

/** Names of this machine and of private networks (RFC 6761, RFC 8375, RFC 6762; `internal` is reserved by ICANN). */
const PRIVATE_NAMES = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa)\.?$/i;

/**
 * The places to which a worker never sends, whatever `network` allows: Temporal, its own ports and the API's. They trust everyone who reaches them. A
 * job that could send there could do things that its owner may not.
 */
export class OwnPlaces {
  readonly #places: { readonly host: string; readonly port: number; addresses: AddressSet }[];

  /** @param places as host:port; a host of this machine stands for all its addresses, since a server may listen on each. */
  constructor(places: readonly string[]) {
    this.#places = places.map((place) => {
      const { protocol, hostname, port } = new URL(`http://${place}`);
      const literal = literalOf(hostname);
      const addresses = allOf(literal === undefined ? [] : [literal]);
      return { host: hostname, port: Number(portOf({ protocol, port })), addresses };
    });
  }

  has(host: string, port: number): boolean {
    const [address, name] = [literalOf(host), host.toLowerCase().replace(/\.$/, '')];
    const isAt = (one: { readonly host: string; readonly addresses: AddressSet }) =>
      address === undefined ? one.host === name : one.addresses.has(address);
    return this.#places.some((one) => one.port === port && isAt(one));
  }

  /** Looks the names up again. A name that is not found now keeps its previous addresses. */
  async lookUp(lookUp: LookUp = sharedLookUp): Promise<void> {
    for (const one of this.#places.filter(({ host }) => literalOf(host) === undefined))
      await new Promise<void>((resolve) => {
        lookUp(one.host, { all: true }, (error, found) => {
          if (error === null) one.addresses = allOf(found.map(({ address }) => address));
          resolve();
        });
      });
  }
}

/** These addresses. If one of them belongs to this machine, all addresses of this machine are included. */
function allOf(addresses: readonly string[]): AddressSet {
  const interfaces = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  const here = ['127.0.0.0/8', '::1', '0.0.0.0', '::', ...interfaces.filter(isNetwork)];
  const isHere = addresses.some((address) => new AddressSet(here).has(address));
  return new AddressSet([...addresses.filter(isNetwork), ...(isHere ? here : [])]);
}

/** The rules for a worker's connections. Names are checked before they are looked up, addresses afterwards. */
export class NetworkPolicy implements ConnectionPolicy {
  readonly proxy: URL | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly #allowHttp: boolean;
  readonly #allowed: AddressSet;
  readonly #ports: readonly (readonly [first: number, last: number])[];
  readonly #own: OwnPlaces;

  constructor(
    { allowHttp, allowAddresses, allowPorts, proxy, certificateAuthorities = [] }: NetworkRules,
    own = new OwnPlaces([]),
  ) {
    this.#own = own;
    this.#allowHttp = allowHttp;
    this.#allowed = new AddressSet(allowAddresses);
    this.#ports = allowPorts.map((range) => {
      const ports = portsIn(range);
      if (ports === undefined) throw new TypeError(`"${range}" is neither a port nor a range of ports.`);
      return ports;
    });
    this.proxy = proxy === undefined ? undefined : new URL(proxy);
    this.certificateAuthorities = certificateAuthorities;
  }

  allowsAddress(address: string): boolean {
    return isPublicAddress(address) || this.#allowed.has(address);
  }

  isOurs(host: string, port: number): boolean {
    return this.#own.has(host, port);
  }

  /**
   * Why nothing may be sent there, in words that name no address other than the given one. Undefined: only the addresses that a name resolves to can
   * still forbid it.
   */
  refusalOf({ protocol, hostname, port }: Destination): string | undefined {
    if (protocol !== 'https:' && protocol !== 'http:') return 'Only https: URLs are allowed.';
    if (protocol === 'http:' && !this.#allowHttp)
      return 'The worker sends by https only. (Its operator can allow http: network.allowHttp.)';
    const number = Number(portOf({ protocol, port }));
    if (!this.#ports.some(([first, last]) => number >= first && number <= last))
      return `The worker does not send to port ${number}. (Its operator can allow it: network.allowPorts.)`;
    if (this.isOurs(hostname, number)) return OURS;
    const address = literalOf(hostname);
    const isForbidden =
      address === undefined ? PRIVATE_NAMES.test(hostname) && this.#allowed.isEmpty : !this.allowsAddress(address);
    return isForbidden ? NOT_PUBLIC : undefined;
  }
}

/** For a host that is, or resolves to, an address that may not be reached. It does not say which address, since that would reveal private DNS. */
export const NOT_PUBLIC =
  'The worker sends to public addresses only, and this host does not have one. (Its operator can allow others: network.allowAddresses.)';

/** For a host that is, or resolves to, one of our own places. */
export const OURS = 'The worker never sends to Temporal, to its own ports or to those of the API.';

/** The address that a host is written as, without brackets; undefined for a name that has to be looked up. */
export function literalOf(hostname: string): string | undefined {
  const bare = hostname.startsWith('[') && hostname.endsWith(']') ? hostname.slice(1, -1) : hostname;
  return isIP(bare) === 0 ? undefined : bare;
}

/** The port that a connection goes to. */
export function portOf({ protocol, port }: Pick<Destination, 'protocol' | 'port'>): string {
  return port || (protocol === 'https:' ? '443' : '80');
}

/** The first and the last port of a range (`1024-65535`), or of a single port; undefined for any other text. */
export function portsIn(range: string): readonly [first: number, last: number] | undefined {
  if (!/^\d{1,5}(-\d{1,5})?$/.test(range)) return undefined;
  const [first = 0, last = first] = range.split('-').map(Number);
  return first <= last && last <= 65_535 ? [first, last] : undefined;
}

/**
 * Lets connections go to one origin and nowhere else. It is for origins that the operator names in the configuration. Being named there allows an
 * origin, even over `http:` and at a private address. The operator is responsible for the addresses that its name resolves to.
 */
export class OriginPolicy implements ConnectionPolicy {
  readonly proxy: URL | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly #origin: string;

  constructor(
    origin: string,
    network: { readonly proxy?: string | undefined; readonly certificateAuthorities?: readonly string[] } = {},
  ) {
    this.#origin = new URL(origin).origin;
    this.proxy = network.proxy === undefined ? undefined : new URL(network.proxy);
    this.certificateAuthorities = network.certificateAuthorities ?? [];
  }

  allowsAddress(): boolean {
    return true;
  }

  /** An operator may run the source at any port. */
  isOurs(): boolean {
    return false;
  }

  refusalOf({ protocol, hostname, port }: Destination): string | undefined {
    const to = `${protocol}//${hostname}${port === '' ? '' : `:${port}`}`;
    if (URL.canParse(to) && new URL(to).origin === this.#origin) return undefined;
    return 'This is at another origin than the audience source, and only that one is asked. (Its operator sets it: "source" in the configuration.)';
  }
}

/**
 * Why nothing will be sent to a URL, as far as that can be known in advance; undefined when nothing speaks against it. It only helps the person who
 * types the URL in: the check that protects is made when a connection is opened.
 */
export async function refusalBeforehand(
  policy: NetworkPolicy,
  url: URL,
  lookUp: LookUp = sharedLookUp,
): Promise<string | undefined> {
  const refusal = policy.refusalOf(url);
  if (refusal !== undefined || literalOf(url.hostname) !== undefined) return refusal;
  return await new Promise((resolve) => {
    lookUp(url.hostname, { all: true }, (error, addresses) => {
      if (error !== null) return resolve(undefined);
      const isOurs = addresses.some(({ address }) => policy.isOurs(address, Number(portOf(url))));
      const isForbidden = !addresses.every(({ address }) => policy.allowsAddress(address));
      resolve(isOurs ? OURS : isForbidden ? NOT_PUBLIC : undefined);
    });
  });
}
