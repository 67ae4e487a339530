import { expect, test } from '@jest/globals';
import { HeldProfileReader } from '../../src/activities/held-profiles.ts';
import { undecodable } from '../../src/domain/errors.ts';

const nameOf = (n: number) => `h${String(n).padStart(15, '0')}`;

/** Holders by workflow id, and how often each was read. */
class Holders {
  readonly contents = new Map<string, unknown>();
  readonly reads: string[] = [];
  fails = false;

  async inputOf(workflowId: string): Promise<unknown> {
    this.reads.push(workflowId);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.fails) throw new Error('Temporal is away');
    return this.contents.get(workflowId);
  }
}

function withHolders(count: number, textLength = 10): Holders {
  const holders = new Holders();
  for (let n = 0; n < count; n++)
    holders.contents.set(`profiles-crm-${nameOf(n)}`, {
      profiles: [`{"n":${n}}`, `{"t":"${'x'.repeat(textLength)}"}`],
    });
  return holders;
}

test('a profile is found at its place, in the holder of its own job', async () => {
  const holders = withHolders(2);
  const reader = new HeldProfileReader(holders);
  expect(await reader.read('crm', [nameOf(1), 0])).toBe('{"n":1}');
  // The name of another job's holder is of no use here.
  expect(await reader.read('other', [nameOf(1), 0])).toBeUndefined();
});

test('many who want one holder at a time, or one after another, read it once', async () => {
  const holders = withHolders(1);
  const reader = new HeldProfileReader(holders);
  await Promise.all(Array.from({ length: 100 }, (_, i) => reader.read('crm', [nameOf(0), i % 2])));
  await reader.read('crm', [nameOf(0), 1]);
  expect(holders.reads).toEqual([`profiles-crm-${nameOf(0)}`]);
});

test('those that were used last stay, within their bytes', async () => {
  const holders = withHolders(3, 400);
  const reader = new HeldProfileReader(holders, 1000);
  for (const n of [0, 1, 0, 2]) await reader.read('crm', [nameOf(n), 0]);
  expect(holders.reads).toHaveLength(3);
  await reader.read('crm', [nameOf(0), 0]);
  expect(holders.reads).toHaveLength(3);
  await reader.read('crm', [nameOf(1), 0]);
  expect(holders.reads).toHaveLength(4);
});

test('one that is larger than all that may stay is read all the same', async () => {
  const reader = new HeldProfileReader(withHolders(1, 5_000), 1000);
  expect(await reader.read('crm', [nameOf(0), 1])).toHaveLength(5_008);
});

test('what could not be read, or is gone, is asked for again', async () => {
  const holders = withHolders(1);
  const reader = new HeldProfileReader(holders);
  holders.fails = true;
  await expect(reader.read('crm', [nameOf(0), 0])).rejects.toThrow('Temporal is away');
  holders.fails = false;
  expect(await reader.read('crm', [nameOf(0), 0])).toBe('{"n":0}');
  expect(await reader.read('crm', [nameOf(5), 0])).toBeUndefined();
  holders.contents.set(`profiles-crm-${nameOf(5)}`, { profiles: ['{}'] });
  expect(await reader.read('crm', [nameOf(5), 0])).toBe('{}');
});

test('what cannot be decoded is not lost: it says why', async () => {
  const holders = withHolders(0);
  holders.contents.set(`profiles-crm-${nameOf(0)}`, undecodable('it is encrypted with the key "k"'));
  await expect(new HeldProfileReader(holders).read('crm', [nameOf(0), 0])).rejects.toThrow(
    'encrypted with the key "k"',
  );
});
