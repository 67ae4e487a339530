import { expect, test } from '@jest/globals';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { deliveryLogIn } from '../../src/features/delivery-log/config.ts';
import { labOfTest } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { record } from '../support/recordings.ts';
import { replay } from '../support/replay.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('a history is recorded: what a job was told a moment ago is told again, though its source lags by minutes', async () => {
  const lab = await labOfTest({ config: { deliveryLog: deliveryLogIn(tempFolder()) } });
  lab.source.lagMs = 300_000;
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'told twice', profile: { id: 1 } });
  const since = new Date(0).toISOString();
  const found = await answerWhen(
    () => lab.jobs.findTold(job, { since }),
    ({ enters }) => enters === 1,
  );
  await lab.jobs.replay(job, found);
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  expect(lab.receiver.ledger.entries).toHaveLength(2);
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  const recorded = await lab.handle(job).fetchHistory();
  await replay(recorded, lab.handle(job).workflowId);
  record('histories', 'replay', historyToJSON(recorded));
});
