import { type IncomingHttpHeaders } from 'node:http';
import { stringifyJson } from '../../src/domain/json.ts';
import { serveHttp } from '../webhook/a-server.ts';

export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What is answered; `text` instead of JSON, `hangs` instead of anything. */
export interface Answered {
  readonly status?: number;
  readonly json?: unknown;
  readonly text?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly hangs?: true;
  /** The connection is closed without an answer. */
  readonly breaks?: true;
}

export interface JsonServer {
  readonly url: string;
  readonly asked: Asked[];
  /** Answers that go before others, each once, in their order. */
  readonly before: ((asked: Asked) => Answered | undefined)[];
}

/** A service on this machine that answers so, digit for digit; it is closed behind the test. */
export async function startJsonServer(answer: (asked: Asked) => Answered): Promise<JsonServer> {
  const asked: Asked[] = [];
  const before: JsonServer['before'] = [];
  const url = await serveHttp((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const one = {
        method: request.method ?? '',
        url: new URL(request.url ?? '', 'http://server'),
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      asked.push(one);
      const answered = before.shift()?.(one) ?? answer(one);
      if (answered.hangs === true) return;
      if (answered.breaks === true) {
        request.socket.destroy();
        return;
      }
      const { status = 200, json, text = stringifyJson(json as object), headers } = answered;
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
    });
  });
  return { url, asked, before };
}
