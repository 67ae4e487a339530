import type { ConfiguredIngests } from '../config/ingest-config.ts';
import { ExpressionThread } from '../ingests/expressions.ts';
import { type Ingest, ingestOf } from '../ingests/ingest.ts';
import type { Reading } from '../ingests/arrival.ts';
import { isProofNeeded } from '../ingests/signature.ts';

/** So many requests, of which nothing told of a change, are likely a mistake in the sender's settings, or here. */
const IGNORED_REQUESTS = 20;
const ALL_IGNORED =
  'nothing that this ingest got so far tells of a change, so all of it was ignored; see what comes of a body: triggers ingest try';
const NO_PROOF = 'an ingest has no signature, basic, header or parameter: only this machine may use it';

/** The senders that are listened to, which can be replaced while requests come. */
export class Ingests {
  readonly thread = new ExpressionThread();
  /** RFC 3339: since when what comes is heard. */
  readonly since = new Date().toISOString();
  readonly #log: { readonly warn: (fields: object, message: string) => void };
  #configured = '';
  #ingests: ReadonlyMap<string, Ingest> = new Map();
  #warned = new Set<string>();
  /** Requests that told of nothing, by ingest; Infinity once one did, or it was said. */
  readonly #toldNothing = new Map<string, number>();

  constructor(configured: ConfiguredIngests, log: { readonly warn: (fields: object, message: string) => void }) {
    this.#log = log;
    this.replace(configured);
  }

  all(): readonly Ingest[] {
    return [...this.#ingests.values()];
  }

  named(name: string): Ingest | undefined {
    return this.#ingests.get(name);
  }

  replace(configured: ConfiguredIngests): void {
    const text = JSON.stringify(configured);
    if (text === this.#configured) return;
    this.#configured = text;
    this.#toldNothing.clear();
    const ingests = Object.entries(configured).map(([name, config]) => ingestOf(name, config));
    this.#ingests = new Map(ingests.map((ingest) => [ingest.name, ingest]));
    const open = ingests.filter(({ proof }) => !isProofNeeded(proof)).map(({ name }) => name);
    for (const ingest of open) if (!this.#warned.has(ingest)) this.#log.warn({ ingest }, NO_PROOF);
    this.#warned = new Set(open);
  }

  /** Hears of each request that its sender sent. */
  heard(ingest: string, { changes }: Pick<Reading, 'changes'>): void {
    const before = this.#toldNothing.get(ingest) ?? 0;
    const requests = changes.length > 0 ? Infinity : before + 1;
    if (requests === IGNORED_REQUESTS) this.#log.warn({ ingest, count: requests }, ALL_IGNORED);
    this.#toldNothing.set(ingest, requests);
  }

  async close(): Promise<void> {
    await this.thread.close();
  }
}
