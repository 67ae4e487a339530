/** Something to be done, and its place in the order. */
export interface OrderedItem {
  readonly id: string;
  /** Items of one group go one after another, … */
  readonly group: string;
  /** … in the order of this text, then of `id`. */
  readonly place: string;
}

/** The outcome of an item: done; refused, which does not stop the later items of its group; or unknown, which does. */
export type Outcome = { readonly kind: 'done' } | { readonly kind: 'refused' | 'unknown'; readonly reason: string };

/**
 * Acts on each item: at most `atOnce` groups at a time, and within a group one item after another. After an item whose outcome is unknown, skips the rest of
 * its group.
 *
 * @param act returns the outcome of an item. When it rejects, no further item is begun, and the error is thrown once all begun items have ended.
 * @param settled called for each item, as soon as it is over.
 * @throws what `act` rejects with; the signal's reason, when it is aborted.
 */
export async function inOrder<T extends OrderedItem>(
  items: Iterable<T>,
  act: (item: T) => Promise<Outcome>,
  settled: (item: T, outcome: Outcome) => void,
  { atOnce, signal }: { readonly atOnce: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const groups = groupsOf(items).values();
  const failures: unknown[] = [];
  const runner = async (): Promise<void> => {
    for (const group of groups) {
      let isClear = true;
      for (const item of group) {
        if (failures.length > 0 || signal?.aborted === true) return;
        const outcome: Outcome = isClear ? await act(item) : LEFT;
        settled(item, outcome);
        isClear &&= outcome.kind !== 'unknown';
      }
    }
  };
  const guarded = () => runner().catch((error: unknown) => failures.push(error));
  await Promise.all(Array.from({ length: atOnce }, guarded));
  if (failures.length > 0) throw failures[0];
  signal?.throwIfAborted();
}

const LEFT: Outcome = {
  kind: 'refused',
  reason: 'not tried, since it must not overtake an earlier one of the same person that is undecided',
};

/** Groups in the order in which their first items came. */
function groupsOf<T extends OrderedItem>(items: Iterable<T>): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.group);
    if (group === undefined) groups.set(item.group, [item]);
    else group.push(item);
  }
  for (const group of groups.values()) group.sort((a, b) => compare(a.place, b.place) || compare(a.id, b.id));
  return groups;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
