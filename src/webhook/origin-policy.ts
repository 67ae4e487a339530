import type { ConnectionPolicy, Destination } from './network-policy.ts';

/**
 * Lets connections go to one origin and nowhere else. It is for what the operator names in the configuration: being named there allows it, even over
 * `http:` and at a private address. Whatever its name resolves to is the operator's responsibility.
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

  refusalOf({ protocol, hostname, port }: Destination): string | undefined {
    const to = `${protocol}//${hostname}${port === '' ? '' : `:${port}`}`;
    if (URL.canParse(to) && new URL(to).origin === this.#origin) return undefined;
    return 'This is at another origin than the audience source, and only that one is asked. (Its operator sets it: "source" in the configuration.)';
  }
}
