import { proxySinks, setHandler } from '@temporalio/workflow';
import type { By, LoggedDeed } from '../contract/audit.ts';
import type { WorkerSinks } from '../contract/ports.ts';
import { instantOf } from '../domain/instant.ts';
import { readBy, UNKNOWN } from '../domain/requests.ts';
import { INTERNAL } from './answering.ts';
import { askerSignal } from './messages.ts';

/** Tells the worker's delivery log what somebody did. A replay does not tell it again. @param n counts the deeds of this run, or of its job. */
export function tellDeed(n: number, deed: Omit<LoggedDeed, 'at'> & Partial<LoggedDeed>): void {
  proxySinks<WorkerSinks>().deeds.done(n, { at: instantOf(Date.now()), ...deed });
}

/** For so long, in ms, it counts who said to be asking: the request may never come. */
const ASKER_MS = 10_000;

/** Remembers the last asker of a dead letter or a watch, until its request comes. */
export class Asker {
  #by = UNKNOWN;
  #until = 0;

  constructor() {
    const hear = (by: unknown): void => {
      this.#by = readBy(by);
      this.#until = Date.now() + ASKER_MS;
    };
    setHandler(askerSignal, hear, { description: INTERNAL });
  }

  /** Who made a request, once. @param by as the request itself says. */
  take(by: By): By {
    const told = Date.now() < this.#until ? this.#by : UNKNOWN;
    this.#until = 0;
    return by === UNKNOWN ? told : by;
  }
}
