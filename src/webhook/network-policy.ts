import { isIP } from 'node:net';
import { AddressSet, isPublicAddress } from './addresses.ts';

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
  /** Why nothing may be sent there, as far as that is known before a name is looked up; undefined when nothing speaks against it. */
  refusalOf(to: Destination): string | undefined;
}

/** Names of this machine and of private networks (RFC 6761, RFC 8375, RFC 6762; `internal` is reserved by ICANN). */
const PRIVATE_NAMES = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa)\.?$/i;

/** What a worker may connect to. Names are checked before they are looked up, addresses afterwards. */
export class NetworkPolicy implements ConnectionPolicy {
  readonly proxy: URL | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly #allowHttp: boolean;
  readonly #allowed: AddressSet;
  readonly #ports: readonly (readonly [first: number, last: number])[];

  constructor({ allowHttp, allowAddresses, allowPorts, proxy, certificateAuthorities = [] }: NetworkRules) {
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

  /**
   * Why nothing may be sent there, in words that name no address other than the given one; undefined when only the addresses that a name
   * resolves to can still forbid it.
   */
  refusalOf({ protocol, hostname, port }: Destination): string | undefined {
    if (protocol !== 'https:' && protocol !== 'http:') return 'Only https: URLs are allowed.';
    if (protocol === 'http:' && !this.#allowHttp)
      return 'The worker sends by https only. (Its operator can allow http: network.allowHttp.)';
    const number = Number(portOf({ protocol, port }));
    if (!this.#ports.some(([first, last]) => number >= first && number <= last))
      return `The worker does not send to port ${number}. (Its operator can allow it: network.allowPorts.)`;
    const address = literalOf(hostname);
    const isForbidden =
      address === undefined ? PRIVATE_NAMES.test(hostname) && this.#allowed.isEmpty : !this.allowsAddress(address);
    return isForbidden ? NOT_PUBLIC : undefined;
  }
}

/** For a host that is, or resolves to, an address that may not be reached. It does not say which address, since that would reveal private DNS. */
export const NOT_PUBLIC =
  'The worker sends to public addresses only, and this host does not have one. (Its operator can allow others: network.allowAddresses.)';

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
