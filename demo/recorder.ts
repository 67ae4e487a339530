import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { parseInstant } from '../src/domain/instant.ts';
import {
  type Answer,
  type Answered,
  type ReceivedElement,
  type ReceivedRequest,
  type Receiver,
  type ReceiverOptions,
  startReceiver,
} from '../src/features/local/receiver.ts';

/** A request that was recorded. */
export interface RecordedRequest extends ReceivedRequest {
  /** Only with `keepBodies`. */
  readonly body?: string;
  readonly headers?: IncomingHttpHeaders;
  /** Undefined while it is open. */
  readonly answered: Answered | undefined;
  /** When that was, epoch ms; undefined while it is open. */
  readonly endedAtMs: number | undefined;
}

export interface RecorderOptions extends Pick<ReceiverOptions, 'port' | 'delayMs'> {
  /** Whether arrivals keep their body and headers. Default false. */
  readonly keepBodies?: boolean;
  /** Decides the answer; undefined means 200. Default: 200 for all. */
  readonly answer?: (arrival: RecordedRequest, request: IncomingMessage) => Answer | undefined;
  /** Called with every complete request, before it is answered. */
  readonly onArrival?: (arrival: RecordedRequest, body: string) => void;
}

/** A running receiver that records what arrives. */
export interface Recorder extends Receiver {
  readonly ledger: Ledger;
}

/** Starts a receiver that records its requests. */
export async function startRecorder(options: RecorderOptions = {}): Promise<Recorder> {
  const ledger = new Ledger();
  const receiver = await startReceiver({
    port: options.port,
    delayMs: options.delayMs,
    handle: (arrival, body, request) => {
      const { headers } = request;
      const entry = ledger.record({ ...arrival, ...(options.keepBodies === true ? { body, headers } : {}) });
      options.onArrival?.(entry, body);
      return {
        answer: options.answer?.(entry, request),
        onAnswered: (answered) => ledger.settle(entry, answered),
      };
    },
  });
  return {
    ledger,
    url: receiver.url,
    port: receiver.port,
    get inFlight() {
      return receiver.inFlight;
    },
    close: () => receiver.close(),
  };
}

export interface LedgerSummary {
  readonly requests: number;
  /** Messages answered 2xx, each delivery id once. */
  readonly delivered: number;
  /** The same by slug. */
  readonly byAudience: Readonly<Record<string, { readonly enter: number; readonly exit: number }>>;
  readonly mostInFlight: number;
  /** Messages answered 2xx whose delivery id had been answered 2xx before. */
  readonly duplicates: number;
  /** Messages whose time is before that of the person's previous message. A backfill's enter after a newer live trigger counts too. */
  readonly outOfOrder: number;
  /** Requests that came while another one for the same person was open: their order is undefined. */
  readonly overlaps: number;
  /** Requests that were not answered 2xx. */
  readonly refused: number;
  /** Messages without a delivery id or of neither format. */
  readonly unreadable: number;
}

interface OpenRequest extends RecordedRequest {
  answered: RecordedRequest['answered'];
  endedAtMs: RecordedRequest['endedAtMs'];
}

/** Records the requests of a receiver, and finds forbidden ones: repeats, wrong order, too many at once, gaps. */
export class Ledger {
  readonly #entries: RecordedRequest[] = [];
  readonly #deliveredIds = new Set<string>();
  readonly #lastAt = new Map<string, string>();
  readonly #open = new Map<string, number>();
  readonly #byAudience: Record<string, { enter: number; exit: number }> = {};
  readonly #waiting = new Set<() => void>();
  #requests = 0;
  #mostInFlight = 0;
  #duplicates = 0;
  #outOfOrder = 0;
  #overlaps = 0;
  #refused = 0;
  #unreadable = 0;

  /** All arrivals in their order. */
  get entries(): readonly RecordedRequest[] {
    return this.#entries;
  }

  /** Most requests that were in flight at once. */
  get mostInFlight(): number {
    return this.#mostInFlight;
  }

  /** Messages answered 2xx, each delivery id once. */
  get delivered(): number {
    return this.#deliveredIds.size;
  }

  get requests(): number {
    return this.#requests;
  }

  summary(): LedgerSummary {
    return {
      requests: this.#requests,
      delivered: this.delivered,
      byAudience: structuredClone(this.#byAudience),
      mostInFlight: this.#mostInFlight,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      overlaps: this.#overlaps,
      refused: this.#refused,
      unreadable: this.#unreadable,
    };
  }

  /** Records a complete request. `settle` later records the answer. */
  record(arrival: Omit<RecordedRequest, 'number' | 'answered' | 'endedAtMs'>): RecordedRequest {
    this.#requests += 1;
    const entry: OpenRequest = { ...arrival, number: this.#requests, answered: undefined, endedAtMs: undefined };
    this.#entries.push(entry);
    if (arrival.inFlight > this.#mostInFlight) this.#mostInFlight = arrival.inFlight;
    for (const { deliveryId, message } of elementsOf(arrival))
      if (message === undefined || deliveryId === undefined) this.#unreadable += 1;
    for (const user of usersIn(arrival)) {
      const open = this.#open.get(user) ?? 0;
      if (open > 0) this.#overlaps += 1;
      this.#open.set(user, open + 1);
    }
    this.#look();
    return entry;
  }

  settle(arrival: RecordedRequest, answered: Answered): void {
    // Only its ledger writes to a RecordedRequest.
    const entry = arrival as OpenRequest;
    entry.answered = answered;
    entry.endedAtMs = Date.now();
    for (const user of usersIn(arrival)) {
      const open = this.#open.get(user) ?? 0;
      if (open > 1) this.#open.set(user, open - 1);
      else this.#open.delete(user);
    }
    if (isSuccess(answered)) for (const element of elementsOf(arrival)) this.#countSuccess(element);
    else this.#refused += 1;
    this.#look();
  }

  /**
   * Resolves as soon as the predicate holds; it is asked now, after every arrival and after every answer.
   *
   * @throws when it does not hold within `timeoutMs`, with the ledger's content by then.
   */
  async waitFor(predicate: (ledger: Ledger) => boolean, timeoutMs = 120_000): Promise<void> {
    if (predicate(this)) return;
    let look: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        look = () => {
          try {
            if (predicate(this)) resolve();
          } catch (error) {
            reject(error);
          }
        };
        this.#waiting.add(look);
        timer = setTimeout(() => {
          reject(new Error(`Not within ${timeoutMs} ms. The ledger has ${JSON.stringify(this.summary())}`));
        }, timeoutMs);
      });
    } finally {
      clearTimeout(timer);
      if (look !== undefined) this.#waiting.delete(look);
    }
  }

  /** Returns the expected delivery ids that were never answered 2xx. */
  missingIds(expected: Iterable<string>): string[] {
    return [...expected].filter((id) => !this.#deliveredIds.has(id));
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }

  #countSuccess({ deliveryId, message }: ReceivedElement): void {
    if (deliveryId !== undefined) {
      if (this.#deliveredIds.has(deliveryId)) {
        this.#duplicates += 1;
        return;
      }
      this.#deliveredIds.add(deliveryId);
    }
    if (message === undefined) return;
    const counts = (this.#byAudience[message.slug] ??= { enter: 0, exit: 0 });
    counts[message.event] += 1;
    const before = this.#lastAt.get(message.user);
    if (before === message.at) return;
    if (before !== undefined && instant(message.at) < instant(before)) this.#outOfOrder += 1;
    this.#lastAt.set(message.user, message.at);
  }
}

/** The triggers that a request is about: those of a batch, or its only one. */
export function elementsOf({
  deliveryId,
  message,
  elements,
}: Pick<ReceivedRequest, 'deliveryId' | 'message' | 'elements'>): readonly ReceivedElement[] {
  return elements ?? [{ deliveryId, message }];
}

function usersIn({ message, elements }: Pick<ReceivedRequest, 'message' | 'elements'>): Iterable<string> {
  if (elements !== undefined) return new Set(elements.flatMap((element) => element.message?.user ?? []));
  return message === undefined ? [] : [message.user];
}

function isSuccess(answered: Answered): boolean {
  return typeof answered === 'number' && answered >= 200 && answered < 300;
}

function instant(at: string): string {
  return parseInstant(at) ?? at;
}
