import type { PackedTriggers } from '../contract/holder.ts';
import type { Activities } from '../contract/ports.ts';
import { holderWorkflow } from '../domain/holder.ts';
import { isRecord } from '../domain/json.ts';
import { undecodableReason } from '../domain/undecodable.ts';
import { refuseNewer } from '../domain/newer-state.ts';
import { concurrently } from './concurrently.ts';
import type { SideWorkflows } from './side-workflows.ts';

/** Enough that a hundred releases take only a moment, and few enough not to crowd the server. */
const RELEASES_AT_ONCE = 8;

/** The activities that put waiting triggers into holder workflows, read them back and let the holders go. */
export function createHolders(workflows: SideWorkflows): Pick<Activities, 'hold' | 'recall' | 'release'> {
  return {
    hold: (holderId, content) => workflows.start(holderWorkflow(holderId, content)),
    recall: async (holderId) => {
      const content = await workflows.inputOf(holderId);
      if (content === undefined) return null;
      refuseNewer(`The content of ${holderId}`, content);
      if (!isPackedTriggers(content)) throw new Error(unreadable(holderId, content));
      return content;
    },
    release: (holderIds) => concurrently(holderIds, RELEASES_AT_ONCE, (holderId) => workflows.release(holderId)),
  };
}

function unreadable(holderId: string, content: unknown): string {
  const why = undecodableReason(content) ?? 'it is not what a job puts there';
  return `The content of ${holderId} cannot be read: ${why}. It is tried again; its triggers are kept there meanwhile.`;
}

/** What cannot be decoded comes as a value that says so, and is not content. */
function isPackedTriggers(value: unknown): value is PackedTriggers {
  return isRecord(value) && Array.isArray(value['audiences']) && Array.isArray(value['triggers']);
}
