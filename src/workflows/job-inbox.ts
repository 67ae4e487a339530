import { setDefaultSignalHandler, setHandler } from '@temporalio/workflow';
import type { TriggerEvent } from '../contract/trigger.ts';
import type { Arrival } from '../domain/dispatcher/arriving.ts';
import {
  enterSignal,
  exitSignal,
  pageSignal,
  permitsReturnedSignal,
  redeliveredSignal,
  triggersSignal,
} from './messages.ts';

interface TriggerList {
  readonly kind: 'triggers';
  readonly raws: readonly unknown[];
  readonly event: TriggerEvent | undefined;
  next: number;
}

/**
 * Receives every signal to a job, in the order in which they came. The handlers only store raw values, since an activation has five
 * seconds, however many signals it brings. Create it before anything is awaited, or the signals of the first task find no handler.
 */
export class JobInbox {
  /** Signals that this run has received. */
  signals = 0;
  /** Called with every signal. */
  onSignal: () => void = () => undefined;
  readonly #queue: (Arrival | TriggerList)[] = [];

  constructor() {
    setHandler(enterSignal, (raw: unknown) => this.#putTriggers(raw, 'enter'));
    setHandler(exitSignal, (raw: unknown) => this.#putTriggers(raw, 'exit'));
    setHandler(triggersSignal, (raw: unknown) => this.#putTriggers(raw, undefined));
    setHandler(redeliveredSignal, (raw: unknown) => this.#put({ kind: 'redelivery', raw }));
    setHandler(pageSignal, (raw: unknown) => this.#put({ kind: 'page', raw }));
    setHandler(permitsReturnedSignal, (raw: unknown) => this.#put({ kind: 'permits', raw }));
    setDefaultSignalHandler((name) => this.#put({ kind: 'unknown', name }));
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** Triggers that have not been taken yet. */
  get waitingTriggers(): number {
    const counts = this.#queue.map((entry) =>
      entry.kind === 'triggers' ? entry.raws.length - entry.next : Number(entry.kind === 'trigger'),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Takes the oldest arrival; a signal that carries many triggers yields them one by one. */
  shift(): Arrival | undefined {
    const first = this.#queue[0];
    if (first?.kind !== 'triggers') return this.#queue.shift() as Arrival | undefined; // Not a list: an Arrival.
    const raw = first.raws[first.next];
    first.next++;
    if (first.next >= first.raws.length) this.#queue.shift();
    return { kind: 'trigger', raw, event: first.event };
  }

  #putTriggers(raw: unknown, event: TriggerEvent | undefined): void {
    // An empty array holds nothing, and an entry for it would have no trigger to yield.
    if (Array.isArray(raw) && raw.length > 0) this.#put({ kind: 'triggers', raws: raw, event, next: 0 });
    else if (Array.isArray(raw)) this.#count();
    else this.#put({ kind: 'trigger', raw, event });
  }

  #put(entry: Arrival | TriggerList): void {
    this.#queue.push(entry);
    this.#count();
  }

  #count(): void {
    this.signals++;
    this.onSignal();
  }
}
