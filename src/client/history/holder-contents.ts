import type { Client } from '@temporalio/client';
import type { PackedTriggers } from '../../contract/holder.ts';
import { type PersonTrigger, unpackTriggers } from '../../domain/job/queue/chain.ts';
import { isRecord } from '../../domain/json.ts';
import { holderWorkflowId } from '../../domain/names.ts';
import { TemporalSideWorkflows } from '../side-workflows.ts';

/** How many holders are read for one person at most. */
export const MOST_HOLDERS = 1_000;
const AT_ONCE = 8;

export interface HolderContent {
  /** Its name in the job. */
  readonly name: string;
  readonly triggers: readonly PersonTrigger[];
}

/** What holders of a job keep, or kept until they ended, in the order of their names here. Holders beyond `MOST_HOLDERS` are not read. */
export async function* holderContents(
  client: Client,
  subscriptionId: string,
  names: readonly string[],
): AsyncGenerator<HolderContent> {
  const most = names.slice(0, MOST_HOLDERS);
  for (let from = 0; from < most.length; from += AT_ONCE) {
    const read = most.slice(from, from + AT_ONCE).map(async (name) => ({
      name,
      triggers: await contentOf(client, holderWorkflowId(subscriptionId, name)),
    }));
    yield* await Promise.all(read);
  }
}

/** Empty for a holder that the server does not know, and for content that no job of ours put there. */
async function contentOf(client: Client, workflowId: string): Promise<PersonTrigger[]> {
  const content = await new TemporalSideWorkflows(client, '').inputOf(workflowId);
  try {
    return isRecord(content) ? unpackTriggers(content as unknown as PackedTriggers) : []; // Anything else throws.
  } catch {
    return [];
  }
}
