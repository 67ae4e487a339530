import { createHash, timingSafeEqual } from 'node:crypto';
import type { ConfiguredApiKeys, Right } from '../config/api-config.ts';

/** Who asks, and what they may do. */
export interface Caller {
  /** The name of their key; undefined where no keys are configured. */
  readonly name?: string;
  /** The jobs that it is for; undefined: all. */
  readonly jobs?: readonly string[] | undefined;
  /** The jobs of an ingest that names them: unless all of them run, nothing is taken. */
  readonly needs?: readonly string[] | undefined;
  may(right: Right): boolean;
  /** Whether they may have to do with this job. */
  mayJob(jobId: string): boolean;
  /** Whether they may send triggers about this audience, as they name it. */
  mayAudience(audience: string): boolean;
}

/** Whoever may do everything: where no keys are configured, which is only served on this machine, and with the link that its own process printed. */
export const EVERYTHING: Caller = { may: () => true, mayJob: () => true, mayAudience: () => true };

interface KnownKey {
  readonly hash: Buffer;
  readonly caller: Caller;
}

/** The keys of the HTTP API. Only their hashes are known, and they can be replaced while requests come. */
export class ApiKeys {
  #keys: readonly KnownKey[] = [];
  #hadKeys = false;

  constructor(configured: ConfiguredApiKeys) {
    this.replace(configured);
  }

  /** Whether there never were any: then whoever is on this machine may do everything. When all are taken away, nobody may do anything. */
  get isOpen(): boolean {
    return !this.#hadKeys;
  }

  replace(configured: ConfiguredApiKeys): void {
    this.#hadKeys ||= Object.keys(configured).length > 0;
    this.#keys = Object.entries(configured).map(([name, { hash, may, jobs, audiences }]) => ({
      hash: Buffer.from(hash.slice('sha256:'.length), 'hex'),
      caller: {
        name,
        jobs,
        may: (right) => may.includes(right),
        mayJob: (jobId) => jobs?.includes(jobId) ?? true,
        mayAudience: (audience) => audiences?.includes(audience) ?? true,
      },
    }));
  }

  /** Whose key an `authorization` header has; undefined when it is nobody's. Takes as long whichever it is. */
  callerOf(authorization: string | undefined): Caller | undefined {
    if (this.isOpen) return EVERYTHING;
    return this.callerWith(hashOfKey(/^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? ''));
  }

  /** Whose key has this hash; undefined when it is nobody's. Takes as long whichever it is. */
  callerWith(keyHash: string): Caller | undefined {
    const given = Buffer.from(keyHash, 'hex');
    let found: Caller | undefined;
    for (const { hash, caller } of this.#keys) if (timingSafeEqual(hash, given)) found = caller;
    return found;
  }
}

/** SHA-256, in hex. */
export function hashOfKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
