import type { ConfiguredIngests } from '../config/ingest-config.ts';
import { ExpressionThread } from '../ingests/expressions.ts';
import { type Ingest, ingestOf } from '../ingests/ingest.ts';
import { isProofNeeded } from '../ingests/signature.ts';

const NO_PROOF = 'an ingest has no signature, basic, header or parameter: only this machine may use it';

/** The senders that are listened to, which can be replaced while requests come. */
export class Ingests {
  readonly thread = new ExpressionThread();
  readonly #log: { readonly warn: (fields: object, message: string) => void };
  #configured = '';
  #ingests: ReadonlyMap<string, Ingest> = new Map();
  #warned = new Set<string>();

  constructor(configured: ConfiguredIngests, log: { readonly warn: (fields: object, message: string) => void }) {
    this.#log = log;
    this.replace(configured);
  }

  named(name: string): Ingest | undefined {
    return this.#ingests.get(name);
  }

  replace(configured: ConfiguredIngests): void {
    const text = JSON.stringify(configured);
    if (text === this.#configured) return;
    this.#configured = text;
    const ingests = Object.entries(configured).map(([name, config]) => ingestOf(name, config));
    this.#ingests = new Map(ingests.map((ingest) => [ingest.name, ingest]));
    const open = ingests.filter(({ proof }) => !isProofNeeded(proof)).map(({ name }) => name);
    for (const ingest of open) if (!this.#warned.has(ingest)) this.#log.warn({ ingest }, NO_PROOF);
    this.#warned = new Set(open);
  }

  async close(): Promise<void> {
    await this.thread.close();
  }
}
