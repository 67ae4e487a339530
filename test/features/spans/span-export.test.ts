import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import type { Span } from '../../../src/features/spans/slice-spans.ts';
import { SpanExport, type SpanExportOptions } from '../../../src/features/spans/worker-tracing.ts';
import { makeCertificateAuthority, signItself } from '../../webhook/a-certificate-authority.ts';
import { type Collector, nowhere, startCollector } from './a-collector.ts';

interface Logged {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function exporter(endpoint: string, more: Partial<SpanExportOptions> = {}): { out: SpanExport; lines: Logged[] } {
  const lines: Logged[] = [];
  const log = { warn: (message: string, fields: Logged['fields']) => void lines.push({ message, fields }) };
  return { out: new SpanExport({ endpoint, headers: {}, version: '1.2.3', log, ...more }), lines };
}

let made = 0;

function span(more: Partial<Span> = {}): Span {
  return {
    name: 'POST',
    traceId: 'ab'.repeat(16),
    spanId: (++made).toString(16).padStart(16, '0'),
    isRequest: true,
    startMs: 1_764_060_000_000,
    endMs: 1_764_060_000_012.5,
    attributes: { 'triggers.job_id': 'vip', 'http.response.status_code': 200 },
    isError: false,
    ...more,
  };
}

test("a span arrives as the worker recorded it, with the worker's own attributes and the headers for the collector", async () => {
  const collector = await startCollector();
  const { out, lines } = exporter(collector.url, { headers: { 'x-api-key': 'k3y' } });
  const told = span({ parentSpanId: 'cd'.repeat(8), isError: true });
  out.tell(told);
  await collector.until(({ spans }) => spans.length > 0);
  expect(collector.spans).toMatchObject([
    {
      name: 'POST',
      traceId: told.traceId,
      spanId: told.spanId,
      parentSpanId: told.parentSpanId,
      kind: 3,
      attributes: told.attributes,
      isError: true,
      startNs: 1_764_060_000_000_000_000n,
      endNs: 1_764_060_000_012_500_000n,
      resource: { 'service.name': 'audience-triggers', 'service.version': '1.2.3' },
    },
  ]);
  expect(collector.headers[0]).toMatchObject({ 'x-api-key': 'k3y', 'content-type': 'application/json' });
  await out.close();
  expect(lines).toEqual([]);
});

test('a worker sends the spans that wait before it ends', async () => {
  const collector = await startCollector();
  const { out } = exporter(collector.url);
  for (let i = 0; i < 1300; i++) out.tell(span());
  await out.close();
  expect(new Set(collector.spans.map(({ spanId }) => spanId)).size).toBe(1300);
});

test('a collector that is away delays nobody: the worker drops spans, and logs that once', async () => {
  const { out, lines } = exporter(await nowhere());
  const startedAt = performance.now();
  for (let i = 0; i < 20_000; i++) out.tell(span());
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  // The first batch was on its way, and 8,192 wait.
  expect(lines).toEqual([
    { message: expect.stringContaining('spans were dropped'), fields: { code: 'QUEUE_FULL', count: 1 } },
  ]);
  await out.close();
  expect(lines).toHaveLength(2);
  expect(lines[1]?.fields).toMatchObject({ count: 19_999 });
});

test('a collector that refuses, or never answers, holds the end of a worker up for some seconds at most', async () => {
  const collector = await startCollector();
  const refused = exporter(collector.url);
  collector.answer = 401;
  refused.out.tell(span());
  await refused.out.close();
  expect(refused.lines.map(({ fields }) => fields)).toEqual([{ code: '401', count: 1 }]);

  collector.answer = 'hang';
  const { out, lines } = exporter(collector.url);
  out.tell(span());
  const startedAt = performance.now();
  await out.close();
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  expect(lines.map(({ fields }) => fields['count'])).toEqual([1]);
});

/** Exports a span from a process of its own, with these options of Node and this environment; says what its log did. */
async function exportFromElsewhere(endpoint: string, authorities: string[], options: string[], env: NodeJS.ProcessEnv) {
  const code = `
    import { SpanExport } from ${JSON.stringify(new URL('../../../src/features/spans/worker-tracing.ts', import.meta.url).href)};
    const lines = [];
    const log = { warn: (message, fields) => lines.push(fields) };
    const more = ${JSON.stringify({ endpoint, authorities, headers: {}, version: '1.2.3' })};
    const out = new SpanExport({ ...more, log });
    out.tell(${JSON.stringify(span())});
    await out.close();
    console.log(JSON.stringify(lines));`;
  const args = [...options, '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  return JSON.parse(stdout) as unknown; // It printed nothing else.
}

test('[S19] a collector whose certificate nobody vouches for, or whose TLS is old, gets nothing, whatever the settings of Node say', async () => {
  const ours = makeCertificateAuthority('Ours');
  const issued = ours.issue({ names: ['127.0.0.1'] });
  const trusted = await startCollector(issued);
  const other = await startCollector(signItself({ names: ['127.0.0.1'] }));
  const old = await startCollector(issued, { maxVersion: 'TLSv1.1' });
  const told = async ({ url }: Collector) =>
    exportFromElsewhere(url, [ours.certificate], ['--tls-min-v1.0', '--tls-cipher-list=DEFAULT@SECLEVEL=0'], {
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
    });
  expect(await told(trusted)).toEqual([]);
  expect(await told(other)).toEqual([{ code: 'DEPTH_ZERO_SELF_SIGNED_CERT', count: 1 }]);
  expect(await told(old)).toEqual([{ code: expect.stringMatching(/^(EPROTO|ERR_SSL_.*)$/), count: 1 }]);
  expect([trusted, other, old].map(({ spans }) => spans.length)).toEqual([1, 0, 0]);
});
