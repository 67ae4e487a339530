import type { ConnectionPolicy, Destination } from './network-policy.ts';

/**
 * Lets connections go to one origin and nowhere else. For what the operator names in the configuration: it is allowed by being named there, by
 * `http:` and at a private address too. Whatever its name is looked up to is the operator's.
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
    return 'The audience source is another origin; it alone is asked. (Its operator names it: "source" in the configuration.)';
  }
}
