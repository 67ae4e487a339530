import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, type Connection } from '@temporalio/client';
import type { Page } from 'playwright-core';
import { connect } from '../support/connection.ts';
import { type LocalTemporal, startLocalTemporal } from '../../src/features/local/temporal-server.ts';
import { type MetricsServer, startMetricsServer } from '../../src/features/metrics/metrics-server.ts';
import { describeWithBrowser, TestBrowser } from '../support/browser.ts';
import { temporal } from '../support/temporal.ts';

const EVIL = 'evil.example';
const START = { workflowType: { name: 'anything' }, taskQueue: { name: 'nobody' }, requestId: 'r1' };

let server: LocalTemporal;
let metrics: MetricsServer;
let browser: TestBrowser;
let connection: Connection;
let client: Client;
/** Asks nobody who they are: what a page of another origin can do where nothing stops it. */
let open: ReturnType<typeof openServer>;

function openServer() {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.headers.host}`);
    response.setHeader('content-type', 'text/html').end('<p>open</p>');
  });
  return { seen, server, url: () => `127.0.0.1:${(server.address() as AddressInfo).port}` }; // It listens on a port.
}

const portOf = (place: string): string => place.split(':')[1] ?? '';

/** What a page can see of an answer: its text, that there was one, or nothing. */
async function asked(page: Page, url: string, how: object): Promise<string> {
  return await page.evaluate(
    async ([url, how]) => {
      try {
        const answer = await fetch(url, { ...how, signal: AbortSignal.timeout(3_000) });
        return answer.type === 'opaque' ? 'sent' : `${answer.status} ${await answer.text()}`;
      } catch {
        return 'nothing';
      }
    },
    [url, how] as const,
  );
}

describeWithBrowser('a page of another origin, in a browser on this machine', () => {
  beforeAll(async () => {
    server = await startLocalTemporal({ cliPath: temporal.cliPath, http: true, ui: true });
    connection = await connect(server.address);
    client = new Client({ connection });
    const text = async () => 'counts 1\n';
    const problem = async () => undefined;
    metrics = await startMetricsServer({ host: '127.0.0.1', port: 0, contentType: 'text/plain', text, problem });
    open = openServer();
    await once(open.server.listen(0, '127.0.0.1'), 'listening');
    browser = await TestBrowser.start([EVIL]);
  });
  afterAll(async () => {
    await browser?.close();
    open?.server.close();
    await metrics?.close();
    await connection?.close();
    await server?.stop();
  });

  const places = () => [...server.places, new URL(metrics.url).host];

  test('[S45] a page of another origin starts nothing in Temporal, and signals nothing, by a request that needs no leave', async () => {
    const { page } = await browser.open(`http://${EVIL}:${portOf(open.url())}/`);
    const simple = { method: 'POST', mode: 'no-cors', body: JSON.stringify(START) };
    // Where nobody stops it, such a request arrives.
    expect(await asked(page, `http://${open.url()}/`, simple)).toBe('sent');
    expect(open.seen).toContain(`POST ${open.url()}`);
    const { workflowId } = await client.workflow.start('anything', { taskQueue: 'nobody', workflowId: 'theirs' });
    const paths = ['by-page', `${workflowId}/signal/enter`, `${workflowId}/terminate`];
    for (const place of places())
      for (const path of paths)
        await asked(page, `http://${place}/api/v1/namespaces/default/workflows/${path}`, simple);
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    expect(events).toHaveLength(2); // It is started, and its first task waits.
    await expect(client.workflow.getHandle('by-page').describe()).rejects.toThrow('not found');
  });

  test('[S45] a page of another origin reads nothing, nor does one whose name leads to this machine', async () => {
    const { page } = await browser.open(`http://${EVIL}:${portOf(open.url())}/`);
    for (const place of places()) expect(await asked(page, `http://${place}/`, {})).toBe('nothing');
    const byName = async (place: string, path: string) =>
      (await page.goto(`http://${EVIL}:${portOf(place)}${path}`))?.status();
    expect(await byName(open.url(), '/')).toBe(200);
    for (const { host } of [server.uiUrl, server.httpUrl, metrics.url].map((url) => new URL(url ?? '')))
      for (const path of ['/', '/api/v1/namespaces/default/workflows', '/metrics', '/readyz'])
        expect([host, path, await byName(host, path)]).toEqual([host, path, 403]);
  });

  test('the UI works for who opens it, also by a link of another page', async () => {
    const { page } = await browser.open(`http://${open.url()}/`);
    await page.setContent(`<a href="${server.uiUrl}/namespaces/default/workflows">UI</a>`);
    await page.getByRole('link', { name: 'UI' }).click();
    await page.getByRole('link', { name: 'theirs' }).first().waitFor();
  });
});
