import { expect, test } from '@jest/globals';
import type { SliceTrigger } from '../../src/contract/slice.ts';
import { bare, SliceLab, trigger } from './a-slice.ts';

const NAME = `h${'0'.repeat(15)}`;

/** A trigger whose profile is at this place of a holder. */
const held = (user: string, place: number): SliceTrigger => bare(user, { held: [NAME, place] });

async function labWith(content: unknown): Promise<SliceLab> {
  const lab = await SliceLab.open({ keepBodies: true });
  lab.heldIn.inputOf = async () => await Promise.resolve(content);
  // What the source says is never sent in place of what came with a trigger.
  for (const user of ['1', '2', '3']) lab.source.setProfile(user, { from: 'the source' });
  return lab;
}

const bodies = (lab: SliceLab) => lab.receiver.ledger.entries.map(({ body }) => body);

test('a trigger is sent with the profile that came with it, wherever that is', async () => {
  const lab = await labWith({ profiles: ['{"n":1}', '{"n":2}'] });
  const report = await lab.deliver([held('1', 1), trigger('2', { profile: '{"n":3}' }), bare('3')], { permits: 1 });
  expect(report.failed).toEqual([]);
  expect(bodies(lab)).toEqual([
    expect.stringContaining('"data":{"n":2,'),
    expect.stringContaining('"data":{"n":3,'),
    expect.stringContaining('"data":{"from":"the source",'),
  ]);
});

test('one whose profile is gone is not sent, and never with another; others are', async () => {
  const lab = await labWith({ profiles: ['{"n":1}'] });
  const report = await lab.deliver([held('1', 0), held('2', 1), { ...held('3', 2), profileOptional: true }]);
  expect(report.failed).toMatchObject([
    { index: 1, code: 'PROFILE_LOST' },
    { index: 2, code: 'PROFILE_LOST' },
  ]);
  expect(lab.receiver.ledger.delivered).toBe(1);
});

test('while Temporal does not give them, triggers wait as for a source that does not answer; others are sent', async () => {
  const lab = await labWith(undefined);
  lab.heldIn.inputOf = async () => await Promise.reject(new Error('Temporal is away'));
  const report = await lab.deliver([held('1', 0), trigger('2')]);
  expect(report.failed).toMatchObject([
    { index: 0, code: 'SOURCE_UNAVAILABLE', answer: expect.stringContaining('from Temporal') },
  ]);
  expect(lab.receiver.ledger.delivered).toBe(1);
});

test('in batches, too', async () => {
  const lab = await labWith({ profiles: ['{"n":1}', '{"n":2}'] });
  const report = await lab.deliver([held('1', 0), held('2', 1), held('3', 2)], { settings: { batch: { size: 10 } } });
  expect(report.failed).toMatchObject([{ index: 2, code: 'PROFILE_LOST' }]);
});
