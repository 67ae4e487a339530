import { setTimeout } from 'node:timers/promises';
import { ServiceError } from '@temporalio/client';
import type { JobSignals } from '../../src/client/push/signal-sender.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import type { RunTrigger } from '../../src/domain/trigger-run.ts';

export function trigger(user: string, audience = 'vip'): Omit<EventTrigger, 'profile'> {
  return { event: 'enter', audience, user, at: '2026-11-25T08:30:00.000000001Z' };
}

export function triggers(count: number): Omit<EventTrigger, 'profile'>[] {
  return Array.from({ length: count }, (_, i) => trigger(String(7_076_027_172_059_000_000n + BigInt(i))));
}

/** What the SDK throws when the server answers with this status. */
export function serverError(code: number): Error {
  const answer = Object.assign(new Error('from the server'), { code, details: '', metadata: {} });
  return new ServiceError('Failed to signal Workflow', { cause: answer });
}

interface RecordedJobOptions {
  readonly delayMs?: number;
  /** Answers signals once it has resolved, instead of after `delayMs`. */
  readonly until?: Promise<void>;
  /** What the n-th signal call (from 1) fails with. */
  readonly fail?: (call: number) => Error | undefined;
  /** What holding the profiles of a batch fails with. */
  readonly failHold?: (batch: readonly RunTrigger[]) => Error | undefined;
  readonly history?: () => { bytes: number; events: number };
}

/** Stands in for a job: writes down what it is signalled, and fails as told. */
export class RecordedJob implements JobSignals {
  /** As called, failed calls too. */
  readonly batches: (readonly RunTrigger[])[] = [];
  readonly requestIds: string[] = [];
  /** The requests whose profiles are spilled. */
  readonly spilled = new Set<string>();
  readonly dropped: string[] = [];
  accepted = 0;
  mostInFlight = 0;
  readonly #options: RecordedJobOptions;
  #inFlight = 0;

  constructor(options: RecordedJobOptions = {}) {
    this.#options = options;
  }

  /** Resolves when so many signals have come, answered or not. */
  async hasSignals(count: number): Promise<void> {
    while (this.batches.length < count) await setTimeout(1);
  }

  /** Resolves when so many triggers are with it. */
  async hasAccepted(count: number): Promise<void> {
    while (this.accepted < count) await setTimeout(1);
  }

  users(): string[] {
    return this.batches.flat().map(({ user }) => user);
  }

  async spill(batch: readonly RunTrigger[], requestId: string): Promise<void> {
    const failure = this.#options.failHold?.(batch);
    if (failure !== undefined) throw failure;
    this.spilled.add(requestId);
    await Promise.resolve();
  }

  async drop(requestId: string): Promise<void> {
    this.dropped.push(requestId);
    await Promise.resolve();
  }

  async signal(batch: readonly RunTrigger[], requestId: string): Promise<void> {
    this.batches.push(batch);
    this.requestIds.push(requestId);
    this.#inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight);
    await (this.#options.until ?? setTimeout(this.#options.delayMs ?? 0));
    this.#inFlight -= 1;
    const failure = this.#options.fail?.(this.batches.length);
    if (failure !== undefined) throw failure;
    this.accepted += batch.length;
  }

  async history(): Promise<{ bytes: number; events: number }> {
    return await Promise.resolve(this.#options.history?.() ?? { bytes: 0, events: 0 });
  }
}
