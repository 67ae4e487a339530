import { isIP } from 'node:net';
import { AddressSet, isPublicAddress } from './addresses.ts';

/** Where a worker may send requests, as its operator says; a job has no say in it. */
export interface NetworkRules {
  /** Plain `http:` too. */
  readonly allowHttp: boolean;
  /** Networks that are reached although they are not public: `10.0.0.0/8`. */
  readonly allowAddresses: readonly string[];
  /** Ports, or ranges of them (`1024-65535`). */
  readonly allowPorts: readonly string[];
  /** An HTTP proxy that requests are tunnelled through (CONNECT); names are looked up and judged here all the same. */
  readonly proxy?: string | undefined;
  /** Authorities that are trusted beside the system's, for endpoints and for the proxy: PEM, one certificate or more in each. */
  readonly certificateAuthorities?: readonly string[];
}

/** A place where a connection would go. */
export interface Destination {
  readonly protocol: string;
  /** As `URL.hostname` has it: brackets around IPv6, numbers in their usual spelling. */
  readonly hostname: string;
  /** Empty: the protocol's own. */
  readonly port: string;
}

/** What a guarded connection is judged by. */
export interface ConnectionPolicy {
  readonly proxy: URL | undefined;
  readonly certificateAuthorities: readonly string[];
  /** Said of what a name was looked up to, and of where a socket ended up. */
  allowsAddress(address: string): boolean;
  /** Why nothing may be sent there, said before a name is looked up; undefined when nothing is known against it. */
  refusalOf(to: Destination): string | undefined;
}

/** Names of this machine and of private networks (RFC 6761, RFC 8375, RFC 6762; `internal` is reserved by ICANN). */
const PRIVATE_NAMES = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa)\.?$/i;

/** What a worker may connect to. Said of names before and of addresses after they are looked up. */
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
   * Why nothing may be sent there, in words that name no address but the one that was given; undefined when only what a name is looked up to
   * can still forbid it.
   */
  refusalOf({ protocol, hostname, port }: Destination): string | undefined {
    if (protocol !== 'https:' && protocol !== 'http:') return 'Only https: addresses can be sent to.';
    if (protocol === 'http:' && !this.#allowHttp)
      return 'The worker sends by https only. (Its operator may allow http: network.allowHttp.)';
    const number = Number(portOf({ protocol, port }));
    if (!this.#ports.some(([first, last]) => number >= first && number <= last))
      return `The worker does not send to port ${number}. (Its operator may allow it: network.allowPorts.)`;
    const address = literalOf(hostname);
    const isForbidden =
      address === undefined ? PRIVATE_NAMES.test(hostname) && this.#allowed.isEmpty : !this.allowsAddress(address);
    return isForbidden ? NOT_PUBLIC : undefined;
  }
}

/** Said of a host that is, or is looked up to, what may not be reached; it does not say what that is. */
export const NOT_PUBLIC =
  'The worker sends to public addresses only, and this host is none. (Its operator may allow more: network.allowAddresses.)';

/** The address that a host name is by itself; undefined for a name that has to be looked up. */
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
