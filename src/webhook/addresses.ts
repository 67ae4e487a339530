import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Everything that IANA has allocated as global unicast in IPv6. An address outside it is not public, whatever the library calls it. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');
/** Blocks inside it that are not publicly reachable: IETF protocol assignments, 6to4 and documentation (RFC 9637). */
const NOT_GLOBAL_IPV6 = ['2001::/23', '2002::/16', '3fff::/20'].map((cidr) => ipaddr.IPv6.parseCIDR(cidr));

/**
 * Whether an address belongs to the public Internet (IANA special-purpose address registries, RFC 6890). An IPv6 address that embeds an IPv4
 * address (mapped, NAT64, 6to4, Teredo) does not count as public.
 *
 * @param address as `net.isIP` accepts it: other numeric spellings (`127.1`, `0x7f000001`) do not count as addresses here.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
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
