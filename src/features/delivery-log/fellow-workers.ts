import type { DeliveryBatch } from './delivery-store.ts';
import { noteUnheard } from './log-gaps.ts';
import type { Sql } from './log-sql.ts';
import type { LogWriter } from './log-writer.ts';
import { startOf } from '../../worker/identity.ts';

// A worker that never reached the log and was killed leaves no trace in it. Its fellows, or the next worker, note it there.

const LOOK_MS = 30_000;
/** The log may have been away for so long. */
const FORGOTTEN_MS = 24 * 60 * 60 * 1000;

/** Tells the writer, now and every half minute, when each worker last asked Temporal for work. Returns what ends that. */
export function watchFellows(
  ask: () => Promise<readonly { readonly identity: string; readonly lastPollMsAgo: number }[]>,
  writer: Pick<LogWriter, 'notePolled'>,
): () => void {
  const polled = new Map<string, number>();
  const look = async (): Promise<void> => {
    // Temporal may be away.
    const found = await ask().catch(() => []);
    const now = Date.now();
    for (const { identity, lastPollMsAgo } of found) polled.set(identity, now - lastPollMsAgo);
    for (const [identity, at] of polled) if (at < now - FORGOTTEN_MS) polled.delete(identity);
    writer.notePolled(new Map(polled));
  };
  void look();
  const timer = setInterval(() => void look(), LOOK_MS).unref();
  return () => clearInterval(timer);
}

/** The statements that note which workers never wrote to the log. */
export function noteFellows(polled: DeliveryBatch['polled'] = new Map<string, number>()): Sql[] {
  return [...polled].flatMap(([writer, seenMs]) => {
    const start = startOf(writer);
    return start === undefined ? [] : [noteUnheard(writer, start, new Date(seenMs).toISOString())];
  });
}
