import { expect, test } from '@jest/globals';
import { request } from 'undici';
import { JobEndpoint } from '../../chaos/endpoint.ts';
import type { Answer } from '../../src/features/local/receiver.ts';

test('a delivery counts once, whether its answer came whole, in half, or both', async () => {
  const answers: Answer[] = ['half', { status: 200 }, 'half', { status: 503 }, 'half', { status: 200 }];
  const answer = () => answers.shift() ?? 'hang';
  const endpoint = await JobEndpoint.open('job', { answer, isShy: () => false });
  const send = async (id: string): Promise<number> => {
    const response = await request(endpoint.url, { method: 'POST', headers: { 'webhook-id': id }, body: '{}' });
    await response.body.dump().catch(() => undefined);
    return endpoint.delivered;
  };
  try {
    expect(await send('a')).toBe(1);
    expect(await send('a')).toBe(1);
    expect(await send('a')).toBe(1);
    expect(await send('b')).toBe(1);
    expect(await send('b')).toBe(2);
    expect(await send('b')).toBe(2);
  } finally {
    await endpoint.close();
  }
});
