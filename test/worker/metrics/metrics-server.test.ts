import { expect, test } from '@jest/globals';
import { type MetricsServer, startMetricsServer } from '../../../src/worker/metrics/metrics-server.ts';

async function served(use: (server: MetricsServer) => Promise<void>, text = () => Promise.resolve('a_metric 1\n')) {
  const server = await startMetricsServer({
    host: '127.0.0.1',
    port: 0,
    contentType: 'text/plain; version=0.0.4',
    text,
  });
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

test('metrics are served at /metrics, and nothing elsewhere', async () => {
  await served(async ({ url }) => {
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4']);
    expect(await answer.text()).toBe('a_metric 1\n');
    expect((await fetch(new URL('/', url))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(404);
  });
});

test('what goes wrong while they are collected is a 500 that says nothing of it', async () => {
  const failing = () => Promise.reject(new Error('s3cret'));
  await served(async ({ url }) => {
    const answer = await fetch(url);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('s3cret');
  }, failing);
});

test('a port that is taken is reported, not waited for', async () => {
  await served(async ({ url }) => {
    const port = Number(new URL(url).port);
    const again = startMetricsServer({ host: '127.0.0.1', port, contentType: '', text: () => Promise.resolve('') });
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
