import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** All that the IPv6 registry of IANA has given out as global unicast; what is outside it is not public, whatever a library calls it. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');
/** Blocks inside it that are not for everybody: IETF protocol assignments, 6to4 and documentation (RFC 9637). */
const NOT_GLOBAL_IPV6 = ['2001::/23', '2002::/16', '3fff::/20'].map((cidr) => ipaddr.IPv6.parseCIDR(cidr));

/**
 * Whether an address is one of the public Internet (IANA special-purpose address registries, RFC 6890). An IPv6 address that wraps an IPv4
 * one (mapped, NAT64, 6to4, Teredo) is none.
 *
 * @param address as `net.isIP` knows it: other spellings of numbers (`127.1`, `0x7f000001`) are no addresses here.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  if (parsed instanceof ipaddr.IPv4) return true;
  if (parsed.zoneId !== undefined || !parsed.match(GLOBAL_IPV6)) return false;
  return !NOT_GLOBAL_IPV6.some((block) => parsed.match(block));
}

/** Networks that an operator names: `10.0.0.0/8`, `fd00::/8`, or single addresses. */
export class AddressSet {
  readonly #list = new BlockList();
  readonly #size: number;

  /** @throws TypeError for what `isNetwork` does not hold of. */
  constructor(networks: readonly string[]) {
    this.#size = networks.length;
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      if (!isNetwork(network)) throw new TypeError(`"${network}" is no network.`);
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

/** Whether a text is an address, or one with a number of bits. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
}
