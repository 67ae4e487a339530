import { scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import type { AuthorizationConfig } from './authorization-config.ts';
import type { AuthorizationListing } from '../contract/audience.ts';
import { isRecord } from '../domain/json.ts';
import { shownUrl } from '../domain/mask-url.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import { type AccessToken, AccessTokens, fetchToken, TokenUnavailable } from './access-tokens.ts';
import type { GuardedAgents } from '../network/guarded-agents.ts';
import type { AuthorizationLookup, Authorizations, RequestAuthorization } from '../webhook/authorization.ts';
import { readSigningSecret, type SigningKey } from '../webhook/signature.ts';

const NOTHING: RequestAuthorization = {
  headers: [],
  query: '',
  signingKeys: [],
  secrets: [],
  reaches: () => true,
  taken: () => undefined,
  instead: async () => undefined,
};

/** Called each time an authorization server was asked for a token. */
type TokenFetched = (isFetched: boolean) => void;

type Authorizing = Readonly<Record<string, AuthorizationConfig>>;

/**
 * The authorizations that a worker was configured with. Secrets stay in here: nothing else in the worker reads them, and logging an instance does
 * not reveal them.
 */
export class ConfiguredAuthorizations implements Authorizations {
  readonly #agents: GuardedAgents;
  readonly #fetched: TokenFetched;
  #byName = new Map<string, Authorization>();

  /** @param agents open the connections to token endpoints. */
  constructor(config: Authorizing, agents: GuardedAgents, fetched: TokenFetched = () => undefined) {
    this.#agents = agents;
    this.#fetched = fetched;
    this.replace(config);
  }

  /** Switches to another configuration. Authorizations that have not changed keep their tokens and connections. */
  replace(config: Authorizing): void {
    this.#byName = new Map(
      Object.entries(config).map(([name, one]) => {
        const known = this.#byName.get(name);
        return [name, known?.isOf(one) === true ? known : new Authorization(one, this.#agents, this.#fetched)];
      }),
    );
  }

  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  list(): AuthorizationListing[] {
    return [...this.#byName]
      .map(([name, one]) => ({ name, ...one.listing }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * A fingerprint of each by its name, for comparing workers: the same where secrets and settings are the same. One after the other, since
   * each takes a core for a moment; one that has not changed costs nothing again.
   *
   * @param taskQueue fingerprints of different task queues say nothing about each other.
   */
  async fingerprints(taskQueue: string): Promise<Readonly<Record<string, string>>> {
    const found: [string, string][] = [];
    for (const [name, one] of this.#byName)
      found.push([name, await one.fingerprint(JSON.stringify([taskQueue, name]))]);
    return Object.fromEntries(found);
  }

  headersOf(name: string): ReadonlySet<string> {
    return this.#byName.get(name)?.headerNames ?? new Set();
  }

  jobsOf(name: string | null): readonly string[] | undefined {
    return this.#byName.get(name ?? '')?.jobs;
  }

  refusalOf(name: string | null, url: URL, jobId?: string): string | undefined {
    if (name === null) return undefined;
    const found = this.#byName.get(name);
    if (found === undefined) return ATTEMPT_CODES.authorizationUnknown;
    const isAllowed = found.mayReach(url, true) && (found.jobs?.includes(jobId ?? '') ?? true);
    return isAllowed ? undefined : ATTEMPT_CODES.authorizationElsewhere;
  }

  async lookUp(name: string | null, url: URL, jobId?: string): Promise<AuthorizationLookup> {
    const code = this.refusalOf(name, url, jobId);
    if (code !== undefined) return { ok: false, code };
    const found = this.#byName.get(name ?? '');
    if (name === null || found === undefined) return { ok: true, authorization: NOTHING };
    try {
      return { ok: true, authorization: await found.current() };
    } catch (error) {
      return {
        ok: false,
        code: ATTEMPT_CODES.tokenUnavailable,
        ...(error instanceof TokenUnavailable && { reason: error.reason }),
      };
    }
  }
}

/** One authorization in use, with its tokens. */
class Authorization {
  readonly jobs: readonly string[] | undefined;
  readonly #origins: ReadonlySet<string>;
  readonly #paths: readonly string[] | undefined;
  readonly listing: Omit<AuthorizationListing, 'name'>;
  readonly headerNames: ReadonlySet<string>;
  readonly #json: string;
  readonly #fixed: Pick<RequestAuthorization, 'headers' | 'query' | 'identity' | 'secrets' | 'reaches'>;
  readonly #keys: readonly { readonly key: SigningKey; readonly untilMs: number }[];
  readonly #tokens: AccessTokens | undefined;
  #fingerprint: Promise<string> | undefined;

  constructor(config: AuthorizationConfig, agents: GuardedAgents, fetched: TokenFetched) {
    const { origins, oauth2, clientCertificate: identity } = config;
    this.#json = sortedJson(config);
    this.listing = listingOf(config);
    this.jobs = config.jobs;
    this.#origins = new Set(origins.map((origin) => new URL(origin).origin));
    this.#paths = config.paths?.map((path) => path.replace(/\/$/, ''));
    this.#fixed = { ...fixedPartsOf(config), identity, reaches: (url) => this.mayReach(url) };
    this.headerNames = new Set([
      ...this.#fixed.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()),
      ...(oauth2 === undefined ? [] : ['authorization']),
    ]);
    this.#keys = config.signingSecrets.map((one) =>
      typeof one === 'string'
        ? { key: readSigningSecret(one), untilMs: Infinity }
        : { key: readSigningSecret(one.secret), untilMs: Date.parse(one.until) },
    );
    this.#tokens =
      oauth2 === undefined
        ? undefined
        : new AccessTokens(() => counted(fetchToken({ config: oauth2, agents, identity }), fetched));
  }

  isOf(config: AuthorizationConfig): boolean {
    return this.#json === sortedJson(config);
  }

  /** @param salt the same whenever it is asked. */
  fingerprint(salt: string): Promise<string> {
    this.#fingerprint ??= slowHash(this.#json, salt, FINGERPRINT_BYTES).then((bytes) => bytes.toString('hex'));
    return this.#fingerprint;
  }

  /** @param mayHaveTemplate whether the rest of the path, from a template's first tag on, is not known yet. */
  mayReach({ origin, pathname }: URL, mayHaveTemplate = false): boolean {
    if (!this.#origins.has(origin)) return false;
    // The client checks an edit with a masked path. The job then checks it with the whole one, and each request does.
    if (this.#paths === undefined || (mayHaveTemplate && pathname === MASKED_PATH)) return true;
    const [known = ''] = mayHaveTemplate ? pathname.split(TAG, 1) : [pathname];
    const isWithin = (path: string): boolean => pathname === path || known.startsWith(`${path}/`);
    return this.#paths.some(isWithin) && !mayLeadUp(known);
  }

  /** Rejects when it needs a token and there is none. */
  async current(): Promise<RequestAuthorization> {
    if (this.#tokens === undefined) return { ...NOTHING, ...this.#fixed, signingKeys: this.#liveKeys() };
    return this.#with(this.#tokens, await this.#tokens.current());
  }

  #with(tokens: AccessTokens, token: AccessToken): RequestAuthorization {
    const { headers, secrets } = this.#fixed;
    return {
      ...this.#fixed,
      headers: [...headers, 'authorization', `Bearer ${token.value}`],
      secrets: [...secrets, token.value],
      signingKeys: this.#liveKeys(),
      taken: () => tokens.taken(token),
      instead: async () => {
        const other = await tokens.insteadOf(token);
        return other === undefined ? undefined : this.#with(tokens, other);
      },
    };
  }

  #liveKeys(): SigningKey[] {
    return this.#keys.filter(({ untilMs }) => Date.now() < untilMs).map(({ key }) => key);
  }
}

/**
 * Everybody who reads Temporal's histories can read fingerprints. Workers share nothing secret that could be the key of an HMAC, so a weak password
 * could be found by guesses. With scrypt (at Node's defaults: 16 MiB, some 50 ms) each guess is costly. With two bytes, an attacker learns
 * 16 bits of a secret at most: of a million guesses, some fifteen fit. The price is that one of 65,536 differences is not noticed.
 */
const slowHash = promisify<string, string, number, Buffer>(scrypt);
const FINGERPRINT_BYTES = 2;

/** The same text for the same configuration, in whichever order a file gives its keys. */
function sortedJson(config: AuthorizationConfig): string {
  return JSON.stringify(config, (_, value: unknown) =>
    isRecord(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
}

/** The path that `shownUrl` shows for any. */
const MASKED_PATH = new URL(shownUrl('https://a.example/path')).pathname;
/** The beginning of a template's tag, as a URL has it. */
const TAG = /%7B(?=%)/;
/** Some servers leave out what comes behind these characters. */
const DOTS = /^\.{1,2}(?:[;\s\p{Cc}]|$)/u;
/** A server decodes a path once, a careless one twice. */
const MOST_DECODINGS = 5;

/** Whether a server may take a part of a path for `..`, which leads out of the path before it: encoded, or between backslashes. */
function mayLeadUp(path: string): boolean {
  let text = path;
  for (let i = 0; i < MOST_DECODINGS; i++) {
    if (text.split(/[/\\]/).some((segment) => DOTS.test(segment))) return true;
    const before = text;
    text = text.replaceAll(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (text === before) return false;
  }
  return true;
}

async function counted<T>(token: Promise<T>, fetched: TokenFetched): Promise<T> {
  let isFetched = false;
  try {
    const value = await token;
    isFetched = true;
    return value;
  } finally {
    fetched(isFetched);
  }
}

function fixedPartsOf(config: AuthorizationConfig): Pick<RequestAuthorization, 'headers' | 'query' | 'secrets'> {
  const { headers, queryParameters, basic, bearer, oauth2 } = config;
  const credentials = basic && Buffer.from(`${basic.username}:${basic.password}`).toString('base64');
  return {
    headers: [
      ...Object.entries(headers).flat(),
      ...(credentials === undefined ? [] : ['authorization', `Basic ${credentials}`]),
      ...(bearer === undefined ? [] : ['authorization', `Bearer ${bearer}`]),
    ],
    query: new URLSearchParams(queryParameters).toString(),
    secrets: [
      ...Object.values(headers),
      ...Object.values(queryParameters),
      // Many services take the API key as the user name of Basic, with an empty password.
      ...[basic?.username, basic?.password, credentials, bearer, oauth2?.clientSecret].filter(
        (one) => one !== undefined,
      ),
    ],
  };
}

function listingOf(config: AuthorizationConfig): Omit<AuthorizationListing, 'name'> {
  const { headers, queryParameters, basic, bearer, oauth2, clientCertificate, signingSecrets, origins } = config;
  const count = (part: object): number => Object.keys(part).length;
  const kinds: readonly (readonly [string, unknown])[] = [
    ['headers', count(headers)],
    ['query parameters', count(queryParameters)],
    ['Basic', basic],
    ['bearer token', bearer],
    ['OAuth 2 token', oauth2],
    ['client certificate', clientCertificate],
    ['signature', signingSecrets.length],
  ];
  return {
    kinds: kinds.filter(([, isThere]) => Boolean(isThere)).map(([kind]) => kind),
    origins,
    signingSecretsEnd: signingSecrets.flatMap((one) => (typeof one === 'string' ? [] : [one.until])),
  };
}
