import type { SignalDefinition } from '@temporalio/common';
import { setDefaultSignalHandler, setHandler } from '@temporalio/workflow';
import type { TriggerEvent } from '../contract/trigger.ts';
import type { Arrival } from '../domain/job/steps.ts';
import { hasSurplus } from '../domain/requests.ts';
import { triggersIn } from '../domain/trigger-run.ts';
import { INTERNAL } from './answering.ts';
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

const ENTER =
  'Somebody enters: {"audience": "vip", "user": "707…"}, with "at" and "profile" if you like; or an array of them.';
const EXIT = 'Somebody leaves: as with enter.';
const TRIGGERS =
  'Somebody enters or leaves: an array of triggers that each say so, {"event": "exit", "audience": "vip", "user": "707…"}.';

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
    setHandler(enterSignal, (...args) => this.#putTriggers(args, 'enter'), { description: ENTER });
    setHandler(exitSignal, (...args) => this.#putTriggers(args, 'exit'), { description: EXIT });
    setHandler(triggersSignal, (...args) => this.#putTriggers(args, undefined), { description: TRIGGERS });
    this.#take(redeliveredSignal, 'redelivery');
    this.#take(pageSignal, 'page');
    this.#take(permitsReturnedSignal, 'permits');
    setDefaultSignalHandler((name) => this.#put({ kind: 'unknown', name }));
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** Triggers that have not been taken yet. */
  get waitingTriggers(): number {
    return this.#queue.reduce(
      (sum, entry) => sum + (entry.kind === 'triggers' ? entry.raws.length - entry.next : 0),
      0,
    );
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

  #putTriggers(args: readonly unknown[], event: TriggerEvent | undefined): void {
    const raws = triggersIn(args);
    // An empty array holds nothing, and an entry for it would have no trigger to yield.
    if (raws.length > 0) this.#put({ kind: 'triggers', raws, event, next: 0 });
    else this.#count();
  }

  #take<Args extends [unknown]>(signal: SignalDefinition<Args>, kind: 'redelivery' | 'page' | 'permits'): void {
    const put = (...args: Args): void =>
      this.#put(hasSurplus(args) ? { kind: 'surplus', name: signal.name } : { kind, raw: args[0] });
    setHandler(signal, put, { description: INTERNAL });
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
