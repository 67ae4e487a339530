import type { Activities } from '../../contract/ports.ts';
import type { Problem } from '../../contract/export-job.ts';
import { resolveAudience } from '../prepare-job.ts';
import type { WatchDependencies } from './scan-members.ts';

const NO_FOLDER: Problem = {
  field: 'watch.folder',
  message:
    'The worker has no folder for snapshots. Set TRIGGERS_WATCH_FOLDER, or "watch": { "folder": … } in its configuration; several workers have to share one folder.',
};

/** The activity that looks up the audiences to be watched. Returns every problem at once; rejects only when the source does. */
export function createPrepareWatch({ source, watchFolder }: WatchDependencies): Activities['prepareWatch'] {
  return async (names) => {
    const known = await source.audiences();
    const resolved = names.map((name, index) => resolveAudience(name, index, known));
    const problems = [
      ...(watchFolder === undefined ? [NO_FOLDER] : []),
      ...resolved.flatMap((one) => ('message' in one ? [one] : [])),
    ];
    if (problems.length > 0) return { ok: false, problems };
    const found = resolved.flatMap((one) => ('message' in one ? [] : [[one.id, one] as const]));
    return { ok: true, audiences: [...new Map(found).values()] };
  };
}
