import { expect, test } from '@jest/globals';
import type { DeliveryTracing } from '../../src/activities/slice-telemetry.ts';
import type { ReceiverOptions } from '../../src/local/receiver.ts';
import { bare, SliceLab, trigger } from './a-slice.ts';

/** A lab whose slices tell what they do: what they told, in its order. */
async function openLab(options: ReceiverOptions = {}): Promise<{ lab: SliceLab; told: unknown[] }> {
  const lab = await SliceLab.open({ keepBodies: true, ...options });
  const told: unknown[] = [];
  const tracing: DeliveryTracing = {
    sliceBegan: () => ({
      profilesRead: (startedAtMs, isAnswered) => told.push(['profiles', startedAtMs <= Date.now(), isAnswered]),
      requestBegins: (index) => {
        told.push(['begins', index]);
        return `trace-${index}`;
      },
      requestEnded: (index, { verdict, status }) => told.push(['ended', index, verdict, status]),
      attempted: (index, { code }) => told.push(['attempted', index, code]),
    }),
    died: () => undefined,
  };
  lab.tracing = tracing;
  return { lab, told };
}

const headersOf = (lab: SliceLab, name: string) => lab.receiver.ledger.entries.map(({ headers }) => headers?.[name]);

test('each request carries what its trace says of it, and its end is told', async () => {
  const { lab, told } = await openLab({
    answer: ({ message }) => (message?.user === '2' ? { status: 503 } : undefined),
  });
  await lab.deliver([trigger('1'), trigger('2')], { permits: 1 });
  expect(told).toEqual([
    ['begins', 0],
    ['ended', 0, 'delivered', 200],
    ['begins', 1],
    ['ended', 1, 'transient', 503],
  ]);
  expect(headersOf(lab, 'traceparent')).toEqual(['trace-0', 'trace-1']);
});

test('the look-up is told, and who came to nothing without a request', async () => {
  const { lab, told } = await openLab();
  lab.source.setProfile('known', {});
  await lab.deliver([bare('known'), bare('unknown')], { permits: 1 });
  expect(told).toEqual([
    ['profiles', true, true],
    ['begins', 0],
    ['ended', 0, 'delivered', 200],
    ['attempted', 1, 'PROFILE_MISSING'],
  ]);
  told.length = 0;
  lab.source.failure = new Error('The source is down.');
  await lab.deliver([bare('known')]);
  expect(told).toEqual([
    ['profiles', true, false],
    ['attempted', 0, 'SOURCE_UNAVAILABLE'],
  ]);
});

test('a slice that has no authorization tells it of each of its triggers; without anybody to tell, there is no header', async () => {
  const { lab, told } = await openLab();
  await lab.deliver([trigger('1'), trigger('2')], { settings: { authorization: 'missing' } });
  expect(told).toEqual([0, 1].map((index) => ['attempted', index, 'AUTHORIZATION_UNKNOWN']));
  lab.tracing = undefined;
  await lab.deliver([trigger('3')]);
  expect(headersOf(lab, 'traceparent')).toEqual([undefined]);
});
