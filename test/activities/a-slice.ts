import { afterEach } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger, type LogEntry } from '@temporalio/worker';
import { createDeliver } from '../../src/activities/deliver.ts';
import { SpilledProfileReader } from '../../src/activities/holders.ts';
import type { DeliveryTracing, SliceTracing } from '../../src/activities/slice-telemetry.ts';
import type {
  PackedSlice,
  PermitsReturned,
  SliceInput,
  SliceProgress,
  SliceReport,
  SliceTrigger,
} from '../../src/contract/slice.ts';
import type { Answer } from '../../src/features/local/receiver.ts';
import { type Recorder, type RecorderOptions, startRecorder } from '../../demo/recorder.ts';
import { packSlice } from '../../src/domain/slice.ts';
import { GuardedAgents } from '../../src/network/guarded-agents.ts';
import { createPoster } from '../../src/webhook/attempt.ts';
import { WorkerMetrics } from '../../src/features/metrics/worker-metrics.ts';
import { TEMPLATED_SHAPES } from '../../src/features/templates/shapes.ts';
import { MemorySource } from '../support/memory-source.ts';
import { THIS_MACHINE } from '../webhook/an-attempt.ts';
import { authorizationsOf, type Inputs } from '../webhook/an-authorization.ts';
import { SETTINGS } from '../support/delivery-settings.ts';

/** The name of the worker that delivers. */
export const WORKER = '1@here';

export const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };

/** A trigger of somebody, with a profile unless it says otherwise; each has a time of its own. */
export function trigger(user: string, more: Partial<SliceTrigger> = {}): SliceTrigger {
  const at = `2026-01-01T00:00:00.${String(times++).padStart(9, '0')}Z`;
  return { user, audience: VIP.id, event: 'enter', at, profile: '{}', ...more };
}

let times = 0;

/** Triggers of so many people: `person 0` and so on. */
export const people = (count: number): SliceTrigger[] =>
  Array.from({ length: count }, (_, index) => trigger(`person ${index}`));

/** Tracing of slices that tells only this. */
export function tracingWith(told: Partial<SliceTracing>): DeliveryTracing {
  const silent: SliceTracing = {
    profilesRead: () => undefined,
    requestBegins: () => undefined,
    requestEnded: () => undefined,
    attempted: () => undefined,
  };
  return { sliceBegan: () => ({ ...silent, ...told }), died: () => undefined };
}

/** The same trigger without its profile, as they come when signalled for volume. */
export function bare(user: string, more: Partial<SliceTrigger> = {}): SliceTrigger {
  const { profile: _, ...rest } = trigger(user, more);
  return rest;
}

interface SliceLabOptions {
  readonly requestTimeoutMs?: number;
}

/** The deliver activity between a source in memory and a real endpoint. */
export class SliceLab {
  readonly source = new MemorySource();
  /** What profile holders keep: everything that they are asked for, unless a test says otherwise. */
  readonly spilledIn = { inputOf: async (_workflowId: string): Promise<unknown> => await Promise.resolve(undefined) };
  readonly returned: ({ workflowId: string } & PermitsReturned)[] = [];
  authorizations = authorizationsOf({ elsewhere: { origins: ['https://a.example'], bearer: 't' } });
  readonly metrics = new WorkerMetrics();
  /** Set: where what slices do is told. */
  tracing: DeliveryTracing | undefined;
  /** Set: the worker has just stood still. */
  hasStalled = false;
  readonly receiver: Recorder;
  readonly #poster;
  readonly #environments: MockActivityEnvironment[] = [];

  static async open(options: RecorderOptions & SliceLabOptions = {}): Promise<SliceLab> {
    const lab = new SliceLab(await startRecorder(options), options);
    open.push(lab);
    return lab;
  }

  private constructor(receiver: Recorder, { requestTimeoutMs }: SliceLabOptions) {
    this.receiver = receiver;
    const timeoutMs = requestTimeoutMs ?? 60_000;
    this.#poster = createPoster({ agents: new GuardedAgents({ timeoutMs, policy: THIS_MACHINE }), timeoutMs });
  }

  /** Runs the activity to its end. */
  async deliver(
    triggers: readonly SliceTrigger[],
    changes: Partial<Omit<SliceInput, 'settings'>> & { settings?: Partial<SliceInput['settings']> } = {},
  ): Promise<SliceReport> {
    const { settings, ...rest } = changes;
    const slice: SliceInput = {
      sliceId: 7,
      permits: 5,
      budgetMs: 100_000,
      audiences: [VIP],
      triggers,
      settings: {
        ...SETTINGS,
        webhookUrl: this.receiver.url,
        requestTimeoutMs: 60_000,
        ...settings,
      },
      ...rest,
    };
    const deliver = createDeliver({
      shapes: TEMPLATED_SHAPES,
      source: this.source,
      spilledProfiles: new SpilledProfileReader(this.spilledIn),
      poster: this.#poster,
      authorizations: this.authorizations,
      userAgent: 'audience-triggers/test',
      worker: WORKER,
      hasStalled: () => this.hasStalled,
      metrics: this.metrics,
      tracing: this.tracing,
      returnPermits: async (workflowId, returned) => void this.returned.push({ workflowId, ...returned }),
    });
    const environment = new MockActivityEnvironment(undefined, {
      logger: new DefaultLogger('WARN', (line) => this.warnings.push(line)),
    });
    this.#environments.push(environment);
    environment.on('heartbeat', (details: SliceProgress) => this.heartbeats.push(details));
    return await environment.run<[PackedSlice], SliceReport, typeof deliver>(deliver, packSlice(slice));
  }

  readonly heartbeats: SliceProgress[] = [];
  /** What slices logged of failures. */
  readonly warnings: LogEntry[] = [];

  /** As the server answers a heartbeat when the slice's job was terminated. */
  cancel(): void {
    for (const environment of this.#environments) environment.cancel('NOT_FOUND');
  }

  /** A receiver's answer 200: late until so many requests have been in flight at once, and soon from then on. */
  answerOnceInFlight(count: number): Answer {
    return { status: 200, delayMs: this.receiver.ledger.mostInFlight >= count ? 10 : 1000 };
  }

  /** Who arrived, in order. */
  get arrived(): (string | undefined)[] {
    return this.receiver.ledger.entries.map(({ message }) => message?.user);
  }

  /** The worker's authorizations from here on. */
  authorize(inputs: Inputs): void {
    this.authorizations = authorizationsOf(inputs, (isFetched) => this.metrics.tokenFetched(isFetched));
  }

  async close(): Promise<void> {
    await this.receiver.close();
    await this.#poster.close();
  }
}

const open: SliceLab[] = [];

afterEach(async () => {
  for (const lab of open.splice(0)) await lab.close();
});
