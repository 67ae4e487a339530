import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import { GuardedAgents } from '../../src/webhook/guarded-agents.ts';
import { OriginPolicy } from '../../src/webhook/origin-policy.ts';
import { afterwards, listen, startRawServer } from './a-server.ts';

test.each([
  ['http://10.0.0.5:8080/people', { protocol: 'http:', hostname: '10.0.0.5', port: '8080' }],
  ['https://people.example.com', { protocol: 'https:', hostname: 'people.example.com', port: '' }],
  ['https://people.example.com', { protocol: 'https:', hostname: 'people.example.com', port: '443' }],
  ['http://[fd00::5]:81', { protocol: 'http:', hostname: '[fd00::5]', port: '81' }],
])('%s is allowed because it is named', (origin, to) => {
  const policy = new OriginPolicy(origin);
  expect(policy.refusalOf(to)).toBeUndefined();
  expect(policy.allowsAddress()).toBe(true);
});

test.each([
  { protocol: 'http:', hostname: '10.0.0.5', port: '8081' },
  { protocol: 'https:', hostname: '10.0.0.5', port: '8080' },
  { protocol: 'http:', hostname: '10.0.0.6', port: '8080' },
  { protocol: 'http:', hostname: '10.0.0.5', port: '' },
  { protocol: 'http:', hostname: 'not a host', port: '8080' },
])('[S12] nothing else is allowed: %j', (to) => {
  expect(new OriginPolicy('http://10.0.0.5:8080').refusalOf(to)).toMatch(/another origin.*"source"/);
});

test('[S12] no connection is opened to another origin', async () => {
  const { url, connections } = await startRawServer((socket) => socket.end());
  const agents = new GuardedAgents({ timeoutMs: 2000, policy: new OriginPolicy('http://127.0.0.1:1') });
  afterwards(() => agents.close());
  const asked = agents.of().request({ origin: url.origin, path: '/', method: 'GET' });
  await expect(asked).rejects.toMatchObject({ code: 'ADDRESS_REFUSED' });
  expect(connections.size).toBe(0);
});

test('a longer answer than the usual mebibyte can be allowed, and no longer than that', async () => {
  const server = createServer((_, response) => response.end(Buffer.alloc(3 * 1024 * 1024)));
  const origin = `http://127.0.0.1:${await listen(server)}`;
  afterwards(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const bytesWith = async (maxAnswerBytes: number): Promise<number> => {
    const agents = new GuardedAgents({ timeoutMs: 2000, policy: new OriginPolicy(origin), maxAnswerBytes });
    afterwards(() => agents.close());
    const { body } = await agents.of().request({ origin, path: '/', method: 'GET' });
    return (await body.arrayBuffer()).byteLength;
  };
  expect(await bytesWith(4 * 1024 * 1024)).toBe(3 * 1024 * 1024);
  await expect(bytesWith(2 * 1024 * 1024)).rejects.toMatchObject({ code: 'ANSWER_TOO_LONG' });
});
