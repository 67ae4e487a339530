import type { ConfiguredIngests } from './config.ts';
import { ExpressionThread } from './expressions.ts';
import { type Ingest, ingestOf } from './ingest.ts';
import type { Reading } from './arrival.ts';
import { isProofNeeded } from './signature.ts';
import { Usage } from '../../api/limits.ts';
import type { ApiMetrics, IngestOutcome } from '../../api/service-routes.ts';

/** If this many requests contained no change, the sender's settings or ours are probably wrong. */
const IGNORED_REQUESTS = 20;
const ALL_IGNORED =
  'nothing that this ingest got so far tells of a change, so all of it was ignored; see what comes of a body: triggers ingest try';
const NO_PROOF = 'an ingest has no signature, basic, header or parameter: only this machine may use it';

/** The configured senders, which can be replaced while requests arrive. */
export class Ingests {
  readonly thread = new ExpressionThread();
  /** RFC 3339: since when requests are accepted. */
  readonly since = new Date().toISOString();
  readonly #log: { readonly warn: (fields: object, message: string) => void };
  #configured = '';
  #ingests: ReadonlyMap<string, Ingest> = new Map();
  readonly #usages = new Map<string, Usage>();
  #warned = new Set<string>();
  /** Requests without a change, by ingest; Infinity once a request had one. */
  readonly #requestsWithoutChange = new Map<string, number>();

  constructor(configured: ConfiguredIngests, log: { readonly warn: (fields: object, message: string) => void }) {
    this.#log = log;
    this.replace(configured);
  }

  all(): readonly Ingest[] {
    return [...this.#ingests.values()];
  }

  usageOf({ name, limits }: Ingest): Usage {
    return Usage.of(this.#usages, name, limits);
  }

  named(name: string): Ingest | undefined {
    return this.#ingests.get(name);
  }

  replace(configured: ConfiguredIngests): void {
    const text = JSON.stringify(configured);
    if (text === this.#configured) return;
    this.#configured = text;
    this.#requestsWithoutChange.clear();
    const ingests = Object.entries(configured).map(([name, config]) => ingestOf(name, config));
    this.#ingests = new Map(ingests.map((ingest) => [ingest.name, ingest]));
    const open = ingests.filter(({ proof }) => !isProofNeeded(proof)).map(({ name }) => name);
    for (const ingest of open) if (!this.#warned.has(ingest)) this.#log.warn({ ingest }, NO_PROOF);
    this.#warned = new Set(open);
  }

  /** Counts each request of its sender. */
  countRequest(ingest: string, { changes }: Pick<Reading, 'changes'>): void {
    const before = this.#requestsWithoutChange.get(ingest) ?? 0;
    const requests = changes.length > 0 ? Infinity : before + 1;
    if (requests === IGNORED_REQUESTS) this.#log.warn({ ingest, count: requests }, ALL_IGNORED);
    this.#requestsWithoutChange.set(ingest, requests);
  }

  async close(): Promise<void> {
    await this.thread.close();
  }
}

type TriggerCounts = Readonly<Record<'accepted' | 'refused' | 'unmatched' | 'ignored', number>>;

/** The requests to an ingest since this process began, or since the ingest has had this name. The record contains nothing about people. */
interface IngestRecord {
  readonly requests: Readonly<Record<IngestOutcome, number>>;
  readonly triggers: TriggerCounts;
  /** RFC 3339: the last request of any caller. */
  readonly lastAt?: string;
  /** The last refusal: its time and reason. */
  readonly lastRefusal?: { readonly at: string; readonly reason: string };
}

const NOTHING: IngestRecord = {
  requests: { taken: 0, repeated: 0, refused: 0, unproved: 0, unavailable: 0 },
  triggers: { accepted: 0, refused: 0, unmatched: 0, ignored: 0 },
};

const LOGGED_EVERY_MS = 60_000;
const UNMATCHED = 'dropped: no running job subscribes';
const REFUSED = 'an ingest refused changes';

/** Records requests to ingests, for the metrics, the log and people. */
export class IngestRecords {
  readonly #metrics: Pick<ApiMetrics, 'ingested' | 'takenInBy'>;
  readonly #log: { readonly warn: (fields: object, message: string) => void };
  readonly #now: () => number;
  readonly #records = new Map<string, IngestRecord>();
  /** By ingest and message: when the log last had it, and how many came since. */
  readonly #logged = new Map<string, { readonly atMs: number; readonly count: number }>();

  constructor(
    metrics: Pick<ApiMetrics, 'ingested' | 'takenInBy'>,
    log: { readonly warn: (fields: object, message: string) => void },
    now: () => number = Date.now,
  ) {
    this.#metrics = metrics;
    this.#log = log;
    this.#now = now;
  }

  of(ingest: string): IngestRecord {
    return this.#records.get(ingest) ?? NOTHING;
  }

  /** @param ingest its name, as it is configured. */
  ingested(ingest: string, outcome: IngestOutcome): void {
    this.#metrics.ingested(ingest, outcome);
    const before = this.of(ingest);
    const requests = { ...before.requests, [outcome]: before.requests[outcome] + 1 };
    this.#records.set(ingest, { ...before, requests, lastAt: this.#at() });
  }

  /** @param details some audiences to which no running job subscribes, and a reason for refusals. Neither contains anything about a person. */
  takenInBy(
    ingest: string,
    counts: TriggerCounts,
    details: { readonly audiences: readonly string[]; readonly reason: string | undefined },
  ): void {
    this.#metrics.takenInBy(ingest, counts);
    this.#warn(UNMATCHED, ingest, counts.unmatched, { audiences: details.audiences });
    this.#warn(REFUSED, ingest, counts.refused, { reason: details.reason });
    const before = this.of(ingest);
    const { accepted, refused, unmatched, ignored } = before.triggers;
    const triggers = {
      accepted: accepted + counts.accepted,
      refused: refused + counts.refused,
      unmatched: unmatched + counts.unmatched,
      ignored: ignored + counts.ignored,
    };
    this.#records.set(ingest, { ...before, triggers });
  }

  /** @param reason in words, without anything about a person. */
  refused(ingest: string, reason: string): void {
    this.#records.set(ingest, { ...this.of(ingest), lastRefusal: { at: this.#at(), reason } });
  }

  /** Logs once a minute at most: a sender may send thousands. */
  #warn(message: string, ingest: string, more: number, fields: object): void {
    if (more === 0) return;
    const key = `${ingest} ${message}`;
    const { atMs, count } = this.#logged.get(key) ?? { atMs: -Infinity, count: 0 };
    const isTime = this.#now() - atMs >= LOGGED_EVERY_MS;
    if (isTime) this.#log.warn({ ingest, count: count + more, ...fields }, message);
    this.#logged.set(key, isTime ? { atMs: this.#now(), count: 0 } : { atMs, count: count + more });
  }

  #at(): string {
    return new Date(this.#now()).toISOString();
  }
}
