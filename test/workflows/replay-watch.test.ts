import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { WatchStatus } from '../../src/client/export-jobs.ts';
import { watchWorkflowId } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { record } from '../support/recordings.ts';
import { replay } from '../support/replay.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('what ran today replays: a watch with all that may happen to it', async () => {
  const folder = tempFolder();
  const id = randomUUID().replaceAll('-', '');
  const members = Array.from({ length: 40 }, (_, i) => String(i));
  const audience = { id, slug: 'watched', name: 'Watched' };
  const lab = await Lab.open({ content: { audiences: [{ ...audience, members }] }, config: { watch: { folder } } });
  const { watches } = lab.jobs;
  const when = async (isAsWanted: (status: WatchStatus) => boolean): Promise<void> => {
    await answerWhen(() => watches.status(id), isAsWanted);
  };
  try {
    await lab.start({ audiences: [id] });
    await watches.start([id], { everyMs: 3_600_000 });
    await when(({ rounds }) => rounds === 1);
    lab.source.failure = new Error('the source is down');
    await watches.scanNow(id);
    await when(({ trouble }) => (trouble?.failures ?? 0) >= 1);
    lab.source.failure = undefined;
    for (const user of members.slice(0, 20)) lab.source.exit(id, user);
    await watches.scanNow(id);
    await when(({ held }) => held !== undefined);
    await watches.accept(id);
    await when(({ rounds }) => rounds === 2);
    await watches.start([id], { everyMs: 1_000 });
    await when(({ rounds }) => rounds >= 4);
    await watches.stop(id);

    const history = await lab.client.workflow.getHandle(watchWorkflowId(id)).fetchHistory();
    expect(history.events?.length).toBeGreaterThan(50);
    await replay(history, watchWorkflowId(id));
    record('histories', 'watch-audience', historyToJSON(history));
  } finally {
    await lab.close();
  }
});
