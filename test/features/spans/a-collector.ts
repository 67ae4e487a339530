import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { SecureVersion } from 'node:tls';
import { PATIENCE_MS } from '../../support/patience.ts';
import { listen, serve } from '../../webhook/a-server.ts';
import type { Issued } from '../../webhook/a-certificate-authority.ts';

/** A span as a collector got it. */
export interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** 1: internal, 3: client. */
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
  /** What its worker says of itself. */
  readonly resource: Readonly<Record<string, string | number>>;
}

export interface Collector {
  readonly url: string;
  /** Of every request, as it came. */
  readonly bodies: string[];
  readonly headers: IncomingHttpHeaders[];
  readonly spans: CollectedSpan[];
  /** Connections that were opened. */
  readonly connections: () => number;
  /** What it answers from now on; nothing: `hang`. */
  answer: number | 'hang';
  /** Resolves once what was collected is as wanted. */
  until(isThere: (collector: Collector) => boolean): Promise<void>;
}

/** What stands in for an OpenTelemetry collector: takes OTLP over HTTP as JSON, on this machine, until the test is over. */
export async function startCollector(
  issued?: Issued,
  { maxVersion = 'TLSv1.3' }: { readonly maxVersion?: SecureVersion } = {},
): Promise<Collector> {
  const heard = new Set<() => void>();
  let connections = 0;
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (collector.answer === 'hang') return;
      const body = Buffer.concat(chunks).toString();
      collector.headers.push(request.headers);
      collector.bodies.push(body);
      if (collector.answer === 200) collector.spans.push(...spansIn(body));
      response.writeHead(collector.answer, { 'content-type': 'application/json' }).end('{}');
      for (const hear of heard) hear();
    });
  };
  const old = maxVersion === 'TLSv1.3' ? {} : ({ minVersion: maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' } as const);
  const server =
    issued === undefined
      ? createServer(take)
      : createSecureServer({ cert: issued.certificate, key: issued.key, maxVersion, ...old }, take);
  server.on('connection', () => connections++);
  const scheme = issued === undefined ? 'http' : 'https';
  const collector: Collector = {
    url: `${scheme}://127.0.0.1:${(await serve(server)).port}/v1/traces`,
    bodies: [],
    headers: [],
    spans: [],
    connections: () => connections,
    answer: 200,
    until: async (isThere) => {
      const giveUpAt = Date.now() + PATIENCE_MS;
      while (!isThere(collector)) {
        if (Date.now() > giveUpAt)
          throw new Error(`Not collected after ${PATIENCE_MS} ms: ${JSON.stringify(collector.bodies)}`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 1000);
          heard.add(() => {
            clearTimeout(timer);
            resolve();
          });
        });
        heard.clear();
      }
    },
  };
  return collector;
}

/** Where no collector is. */
export async function nowhere(): Promise<string> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/v1/traces`;
}

type Value = { stringValue: string } | { intValue: number | string } | { doubleValue: number };
type Attributes = readonly { key: string; value: Value }[];
interface Otlp {
  resourceSpans: {
    resource: { attributes: Attributes };
    scopeSpans: {
      spans: {
        name: string;
        traceId: string;
        spanId: string;
        parentSpanId?: string;
        kind: number;
        startTimeUnixNano: string;
        endTimeUnixNano: string;
        attributes: Attributes;
        status: { code: number };
      }[];
    }[];
  }[];
}

function spansIn(body: string): CollectedSpan[] {
  const { resourceSpans = [] } = JSON.parse(body) as Partial<Otlp>; // As the OTLP specification has it. Logs have none.
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ name, traceId, spanId, parentSpanId, kind, attributes, status, ...times }) => ({
        name,
        traceId,
        spanId,
        parentSpanId,
        kind,
        startNs: BigInt(times.startTimeUnixNano),
        endNs: BigInt(times.endTimeUnixNano),
        attributes: attributesOf(attributes),
        isError: status.code === 2,
        resource: attributesOf(resource.attributes),
      })),
    ),
  );
}

function attributesOf(attributes: Attributes): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      if ('stringValue' in value) return [key, value.stringValue];
      return [key, Number('intValue' in value ? value.intValue : value.doubleValue)];
    }),
  );
}
