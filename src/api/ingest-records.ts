import type { ApiMetrics, IngestOutcome } from './api-metrics.ts';

type TriggerCounts = Readonly<Record<'accepted' | 'refused' | 'unheard' | 'ignored', number>>;

/** What came to an ingest since this process began, or since it has had this name. Nothing in it is about people. */
export interface IngestRecord {
  readonly requests: Readonly<Record<IngestOutcome, number>>;
  readonly triggers: TriggerCounts;
  /** RFC 3339: the last request of whoever it was. */
  readonly lastAt?: string;
  /** The last time that something was refused, and why. */
  readonly lastRefusal?: { readonly at: string; readonly reason: string };
}

const NOTHING: IngestRecord = {
  requests: { taken: 0, repeated: 0, refused: 0, unproved: 0, unavailable: 0 },
  triggers: { accepted: 0, refused: 0, unheard: 0, ignored: 0 },
};

/** Hears what comes to ingests, for the metrics and for people. */
export class IngestRecords {
  readonly #metrics: Pick<ApiMetrics, 'ingested' | 'takenInBy'>;
  readonly #now: () => number;
  readonly #records = new Map<string, IngestRecord>();

  constructor(metrics: Pick<ApiMetrics, 'ingested' | 'takenInBy'>, now: () => number = Date.now) {
    this.#metrics = metrics;
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

  takenInBy(ingest: string, counts: TriggerCounts): void {
    this.#metrics.takenInBy(ingest, counts);
    const before = this.of(ingest);
    const { accepted, refused, unheard, ignored } = before.triggers;
    const triggers = {
      accepted: accepted + counts.accepted,
      refused: refused + counts.refused,
      unheard: unheard + counts.unheard,
      ignored: ignored + counts.ignored,
    };
    this.#records.set(ingest, { ...before, triggers });
  }

  /** @param reason in words, without anything that was said of a person. */
  refused(ingest: string, reason: string): void {
    this.#records.set(ingest, { ...this.of(ingest), lastRefusal: { at: this.#at(), reason } });
  }

  #at(): string {
    return new Date(this.#now()).toISOString();
  }
}
