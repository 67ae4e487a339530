import { expect, test } from '@jest/globals';
import { Decisions, type Wish } from '../../src/api/decisions.ts';
import type { Decided, DecisionOptions, ExportJobs } from '../../src/app/export-jobs.ts';
import type { LoggedDeed } from '../../src/contract/audit.ts';
import type { DecisionStatus } from '../../src/contract/dead-letter.ts';

const EXTENT = {
  letters: 3,
  jobs: [
    { jobId: 'crm', letters: 2 },
    { jobId: 'ads', letters: 1 },
  ],
  audiences: [],
  people: 3,
};
const WISH: Wish = {
  action: 'discard',
  which: { failure: 'HTTP 422', user: 'ann' },
  by: { who: 'ops', door: 'console' },
  options: { reason: 'a test list' },
};

/** Dead letters that are settled when a test says so. */
class Letters {
  asked = 0;
  options: DecisionOptions = {};
  #end: (outcome: Error | Decided) => void = () => undefined;

  readonly discard = async (_which: unknown, options: DecisionOptions): Promise<Decided> => {
    this.asked++;
    this.options = options;
    if (options.confirm === undefined || !(await options.confirm(EXTENT))) throw new Error('It was not confirmed.');
    const ended = new Promise<Error | Decided>((resolve) => (this.#end = resolve));
    options.signal?.addEventListener('abort', () => this.#end(options.signal?.reason as Error));
    const outcome = await ended;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };

  settle(jobId: string, failure?: string): void {
    const said = failure === undefined ? {} : { failure };
    this.options.onProgress?.({ id: `${jobId}-0`, jobId, ...said, settled: 1, of: 3 });
  }

  end(outcome: Error | Decided): void {
    this.#end(outcome);
  }
}

function decisionsAbout(letters: Letters) {
  const history = new Map<string | undefined, LoggedDeed>();
  const api = letters as unknown as ExportJobs['deadLetters']; // All that decisions call.
  return { decisions: new Decisions(api, (deed, id) => history.set(id, deed)), history };
}

test('a decision has begun once its dead letters are counted, and shows how far it is, also after its end', async () => {
  const letters = new Letters();
  const { decisions } = decisionsAbout(letters);
  const { counted, ended } = decisions.begin(WISH);
  await counted;
  const shown = (): readonly DecisionStatus[] => decisions.list();
  expect(shown()).toMatchObject([{ action: 'discard', state: 'running', who: 'ops', letters: 3, done: 0 }]);
  letters.settle('crm');
  letters.settle('crm', 'It is gone.');
  letters.settle('ads', 'It is gone.');
  const failures = [{ reason: 'It is gone.', letters: 2, ids: ['crm-0', 'ads-0'] }];
  expect(shown()).toMatchObject([{ state: 'running', done: 1, failures }]);
  letters.end({ done: 1, failures: [] });
  await expect(ended).resolves.toMatchObject({ done: 1, extent: EXTENT });
  expect(shown()).toMatchObject([{ state: 'done', done: 1, failures }]);
});

test('the same person who asks again with the same id gets the same decision', async () => {
  const letters = new Letters();
  const { decisions } = decisionsAbout(letters);
  const first = decisions.begin({ ...WISH, requestId: 'a' });
  await first.counted;
  expect(decisions.begin({ ...WISH, requestId: 'a' })).toBe(first);
  expect(letters.asked).toBe(1);
  const others = [
    { ...WISH, requestId: 'b' },
    WISH,
    { ...WISH, requestId: 'a', by: { who: 'eve', door: 'api' } as const },
  ];
  for (const other of others) decisions.begin(other);
  expect(letters.asked).toBe(4);
});

test('the history has one entry of each job, with filter, person and count, and names nobody that it is about', async () => {
  const letters = new Letters();
  const { decisions, history } = decisionsAbout(letters);
  const { counted, ended, decision } = decisions.begin(WISH);
  await counted;
  const told = () => [...history.values()];
  const many = { failure: 'HTTP 422', isOfOnePerson: true };
  const entry = {
    kind: 'dead letters',
    target: decision.id,
    action: 'discard',
    who: 'ops',
    door: 'console',
    reason: 'a test list',
  };
  // It is told before anything is done: the process may end in the middle.
  expect(told()).toEqual([
    { ...entry, at: decision.at, jobId: 'crm', many: { ...many, letters: 2 } },
    { ...entry, at: decision.at, jobId: 'ads', many: { ...many, letters: 1 } },
  ]);
  letters.settle('crm');
  letters.end({ done: 1, failures: [] });
  await ended;
  expect(told()).toMatchObject([{ many: { letters: 2, done: 1 } }, { many: { letters: 1, done: 0 } }]);
  expect(JSON.stringify(told())).not.toContain('ann');
  expect(letters.options).toMatchObject({ isTold: true });
});

test('a decision that somebody stops, or that fails, says so, with what was done', async () => {
  const letters = new Letters();
  const { decisions, history } = decisionsAbout(letters);
  const stopped = decisions.begin(WISH);
  await stopped.counted;
  letters.settle('crm');
  decisions.remove(stopped.decision.id);
  await expect(stopped.ended).rejects.toMatchObject({ refusal: { code: 'DecisionStopped' } });
  expect(decisions.list()).toMatchObject([{ state: 'stopped', done: 1 }]);
  expect([...history.values()]).toMatchObject([{ many: { done: 1 } }, { many: { done: 0 } }]);
  decisions.remove(stopped.decision.id);
  expect(decisions.list()).toEqual([]);
  const failed = decisions.begin(WISH);
  await failed.counted;
  letters.end(new Error('No worker.'));
  await expect(failed.ended).rejects.toThrow('No worker.');
  expect(decisions.list()).toMatchObject([{ state: 'failed', problem: 'No worker.' }]);
});

test('nothing is begun of another number than was expected', async () => {
  const { decisions, history } = decisionsAbout(new Letters());
  const { counted } = decisions.begin({ ...WISH, expected: 4 });
  await expect(counted).rejects.toMatchObject({ refusal: { code: 'NotAsExpected' } });
  expect([decisions.list(), history.size]).toEqual([[], 0]);
});
