import type { HeldProfile, HeldProfiles } from '../contract/holder.ts';
import type { SideWorkflows } from '../contract/ports.ts';
import { undecodableReason } from '../domain/errors.ts';
import { profileFrom } from '../domain/held-profile.ts';
import { profileHolderWorkflowId } from '../domain/names.ts';

/** Most bytes of profiles that stay in memory here for the slices to come, as JSON texts. */
const CACHE_BYTES = 64 * 1024 * 1024;

interface Entry {
  /** Undefined when the server no longer knows such a holder. */
  readonly content: Promise<unknown>;
  /** 0 until it has come. */
  bytes: number;
}

/** The profiles that are not with their triggers, read from their holders. A holder has those of hundreds of triggers, so it stays for a while. */
export class HeldProfileReader {
  readonly #workflows: Pick<SideWorkflows, 'inputOf'>;
  readonly #cacheBytes: number;
  /** By workflow id, the one that was used last at the end. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(workflows: Pick<SideWorkflows, 'inputOf'>, cacheBytes = CACHE_BYTES) {
    this.#workflows = workflows;
    this.#cacheBytes = cacheBytes;
  }

  /**
   * The JSON of a profile; undefined when it is lost. Rejects when its holder cannot be read, at the moment or here.
   *
   * @param jobId whose holder it is: what is signalled to one job cannot name what another one was given.
   */
  async read(jobId: string, held: HeldProfile): Promise<string | undefined> {
    const workflowId = profileHolderWorkflowId(jobId, held[0]);
    const entry = this.#entries.get(workflowId) ?? this.#begin(workflowId);
    this.#entries.delete(workflowId);
    this.#entries.set(workflowId, entry);
    const content = await entry.content;
    const why = undecodableReason(content);
    if (why !== undefined) throw new Error(`The profiles in ${workflowId} cannot be read: ${why}.`);
    return profileFrom(content, held);
  }

  #begin(workflowId: string): Entry {
    const content = this.#workflows.inputOf(workflowId);
    const entry: Entry = { content, bytes: 0 };
    content.then(
      (read) => {
        const bytes = bytesOf(read);
        if (bytes === undefined) return this.#forget(workflowId, entry);
        entry.bytes = bytes;
        this.#bytes += bytes;
        this.#makeRoom(entry);
      },
      () => this.#forget(workflowId, entry),
    );
    return entry;
  }

  #makeRoom(latest: Entry): void {
    for (const [workflowId, entry] of this.#entries) {
      if (this.#bytes <= this.#cacheBytes) return;
      if (entry !== latest && entry.bytes > 0) this.#forget(workflowId, entry);
    }
  }

  #forget(workflowId: string, entry: Entry): void {
    if (this.#entries.get(workflowId) !== entry) return;
    this.#entries.delete(workflowId);
    this.#bytes -= entry.bytes;
  }
}

/** Undefined: it is no content, and another time it may be. */
function bytesOf(content: unknown): number | undefined {
  const { profiles } = (content ?? {}) as Partial<HeldProfiles>;
  if (!Array.isArray(profiles)) return undefined;
  return profiles.reduce((sum: number, text: unknown) => sum + (typeof text === 'string' ? text.length : 0), 1);
}
