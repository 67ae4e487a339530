import { expect, test } from '@jest/globals';
import { createPushClock, checked } from '../../src/client/push/push.ts';
import { Listeners } from '../../src/client/push/listeners.ts';
import { ConsumerMetrics } from '../../src/consumers/consumer-metrics.ts';
import { Handover } from '../../src/consumers/handover.ts';
import { Said } from './a-consumer.ts';

const trigger = checked({ audience: 'vip', user: 'u', event: 'enter' }, createPushClock());
const never = async (): Promise<never> => await new Promise(() => undefined);
const heard = new Listeners({
  all: async () => await Promise.resolve([{ jobId: 'crm', audiences: ['vip'] }]),
  one: never,
});
const hanging = new Listeners({ all: never, one: never });

test.each([
  ['a job that hangs', heard, undefined],
  ['a Temporal that does not say which jobs listen', hanging, undefined],
  ['a job that cannot be asked', hanging, ['crm']],
])('%s holds up nobody who stops waiting', async (_, listeners, jobs) => {
  const handover = new Handover({ listeners, signal: never, jobs, log: new Said(), metrics: new ConsumerMetrics() });
  const stop = new AbortController();
  const doing = [handover.give([trigger], stop.signal), handover.nameOf(['other', 'vip'], stop.signal)];
  const reason = new Error('The consumer was ended.');
  stop.abort(reason);
  for (const one of await Promise.allSettled(doing)) expect(one).toEqual({ status: 'rejected', reason });
});
