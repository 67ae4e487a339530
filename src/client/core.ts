import type { Client } from '@temporalio/client';
import type { By } from '../contract/audit.ts';
import type { DeedOptions } from './calls/options.ts';
import type { PushClock } from './push/push.ts';

/** The parts of a client that calls outside its class use: those of features. */
export interface ClientCore {
  /** The Temporal client. @throws ClientClosed */
  readonly open: () => Client;
  /** The task queue that workers take jobs from. */
  readonly taskQueue: string;
  /** The time of triggers that have none. */
  readonly clock: PushClock;
  /** The asker and the reason, of options that hold nothing else. Default: the client's `by`. @throws InvalidRequest */
  readonly by: (options: DeedOptions) => By;
  /** The same, of options that were checked. */
  readonly byOf: (options: DeedOptions) => By;
}

/** The methods of a client that such calls become. */
export type Methods<Calls> = {
  readonly [Name in keyof Calls]: Calls[Name] extends (core: ClientCore, ...rest: infer Rest) => infer Answer
    ? (...rest: Rest) => Answer
    : never;
};
