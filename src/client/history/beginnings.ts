import type { Client } from '@temporalio/client';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { GRPC, grpcCode } from '../server-errors.ts';
import { beginningOf, type RunBeginning } from './events.ts';

const AT_ONCE = 8;

/** How a job's runs began, asked for a few at a time, since each is a request. */
export class Beginnings {
  readonly #client: Client;
  readonly #workflowId: string;
  readonly #runIds: readonly string[];
  #known = new Map<string, RunBeginning | undefined>();

  /** @param runIds in the order in which they will be asked for. */
  constructor(client: Client, workflowId: string, runIds: readonly string[]) {
    this.#client = client;
    this.#workflowId = workflowId;
    this.#runIds = [...runIds];
  }

  /** Undefined where it cannot be read: then its run is, and whoever reads that is told why. */
  async of(runId: string): Promise<RunBeginning | undefined> {
    if (!this.#known.has(runId)) {
      const from = this.#runIds.indexOf(runId);
      const ids = from < 0 ? [runId] : this.#runIds.slice(from, from + AT_ONCE);
      // Those before are not asked for again, and each may be a megabyte.
      this.#known = new Map(await Promise.all(ids.map(async (id) => [id, await this.#read(id)] as const)));
    }
    return this.#known.get(runId);
  }

  async #read(runId: string): Promise<RunBeginning | undefined> {
    try {
      return await beginningOf(this.#client, this.#workflowId, runId);
    } catch (error) {
      if (error instanceof UnknownPayloadKey || grpcCode(error) === GRPC.NOT_FOUND) return undefined;
      throw error;
    }
  }
}
