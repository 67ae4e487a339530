import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { FoundSubscribers, Subscribers } from '../../../src/features/watch/publish-changes.ts';
import { createWatchActivities } from '../../../src/features/watch/activities.ts';
import type { EventTrigger } from '../../../src/contract/trigger.ts';
import type {
  ConfirmedChanges,
  PublishReport,
  ScanReport,
  ScanRequest,
} from '../../../src/features/watch/sandbox/watch.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import { tempFolder } from '../../support/temp-folder.ts';

export const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const AT = '2026-11-25T08:30:00.000000000Z';

/** Jobs that write down what they are told. */
class RecordedSubscribers implements Subscribers {
  jobIds: string[] = ['crm'];
  readonly told = new Map<string, EventTrigger[]>();
  /** The job of this name fails when it has taken so many. */
  failing: { jobId: string; after: number } | undefined;

  async of(): Promise<FoundSubscribers> {
    return { jobIds: this.jobIds, stopping: this.stoppingIds, unreadable: [] };
  }

  /** Jobs that are stopping, beside others that subscribe. */
  stoppingIds: string[] = [];
  /** Jobs that were stopped and kept what waits. */
  keptIds: string[] = [];
  /** Jobs that were terminated. */
  recoverable: string[] = [];
  /** Jobs that end when they have taken so many more. */
  readonly ending = new Map<string, number>();

  async kept(): Promise<readonly string[]> {
    return this.keptIds;
  }

  async mayReturn(jobId: string): Promise<boolean> {
    return [...this.stoppingIds, ...this.keptIds, ...this.recoverable].includes(jobId);
  }

  async publish(
    jobId: string,
    triggers: AsyncIterable<EventTrigger>,
    _signal: AbortSignal,
    onAccepted: (accepted: number) => void,
  ): Promise<boolean> {
    const told = this.told.get(jobId) ?? [];
    this.told.set(jobId, told);
    let accepted = 0;
    for await (const trigger of triggers) {
      if (this.failing?.jobId === jobId && accepted === this.failing.after) throw new Error(`${jobId} takes no more`);
      if (this.ending.get(jobId) === accepted) return false;
      told.push(trigger);
      onAccepted(++accepted);
    }
    return true;
  }
}

/** The activities of a watch between a source and a folder; its rounds as the workflow orders them. */
export class WatchLab {
  readonly root = tempFolder();
  readonly folder = join(this.root, VIP.id);
  readonly subscribers = new RecordedSubscribers();
  /** Set: the worker has just stood still. */
  hasStalled = false;
  base: string | null = null;
  heartbeats = 0;
  readonly #activities;

  constructor(source: AudienceSource) {
    this.#activities = createWatchActivities({
      source,
      watchFolder: this.root,
      subscribers: this.subscribers,
      hasStalled: () => this.hasStalled,
    });
  }

  async scan(changes: Partial<ScanRequest> = {}): Promise<ScanReport & { readonly scanId: string }> {
    const request: ScanRequest = {
      audience: VIP.id,
      scanId: randomUUID(),
      base: this.base,
      held: null,
      existingUsers: false,
      obsolete: [],
      ...changes,
    };
    const { scanMembers } = this.#activities;
    const report = await this.#environment().run<[ScanRequest], ScanReport, typeof scanMembers>(scanMembers, request);
    return { ...report, scanId: request.scanId };
  }

  async confirm(scanId: string): Promise<ConfirmedChanges> {
    return await this.#environment().run(this.#activities.confirmExits, VIP.id, scanId);
  }

  async publish(scanId: string, at = AT): Promise<PublishReport> {
    return await this.#environment().run(this.#activities.publishChanges, VIP.id, scanId, at);
  }

  /** What a round without changes tells. */
  async publishMissed(): Promise<PublishReport> {
    return await this.#environment().run(this.#activities.publishMissed, VIP.id);
  }

  /** A whole round; what was told, as `enter 1`. */
  async round(changes: Partial<ScanRequest> = {}): Promise<string[]> {
    const before = this.told().length;
    const { scanId } = await this.scan(changes);
    await this.confirm(scanId);
    await this.publish(scanId);
    this.base = scanId;
    return this.told().slice(before);
  }

  told(jobId = 'crm'): string[] {
    return (this.subscribers.told.get(jobId) ?? []).map(({ event, user }) => `${event} ${user}`);
  }

  /** The snapshots in the folder. */
  snapshots(): string[] {
    return existsSync(this.folder) ? readdirSync(this.folder) : [];
  }

  #environment(): MockActivityEnvironment {
    const environment = new MockActivityEnvironment();
    environment.on('heartbeat', () => this.heartbeats++);
    return environment;
  }
}
