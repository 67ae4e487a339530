import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { expect, jest } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import type { FastifyRequest } from 'fastify';
import { request } from 'undici';
import { type Api, type ApiOptions, startApi } from '../../src/app/api.ts';
import { bytesOf } from '../../src/api/bodies.ts';
import { ExportJobs } from '../../src/app/export-jobs.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';

/** What the tests look at of all the answers. */
export interface Body {
  readonly accepted: number;
  readonly refused: readonly object[];
  readonly problems: readonly { readonly field: string }[];
  readonly jobs: object & { readonly length?: number };
  readonly attempts: readonly object[];
  readonly hour: readonly { readonly delivered: number }[];
  readonly events: readonly object[];
  readonly states: Readonly<Record<string, number>>;
  readonly openapi: string;
  readonly paths: Readonly<Record<string, object>>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Body;
}

export interface Question {
  /** A text and a stream as they are; whatever else as JSON. */
  readonly body?: unknown;
  readonly headers?: object;
  readonly method?: string;
}

/** Asks an API, and reads its answer as JSON. */
export async function askOf(
  { url }: Pick<Api, 'url'>,
  path: string,
  { body, headers = {}, method }: Question = {},
): Promise<Answered> {
  const isSent =
    typeof body === 'string' || (typeof body === 'object' && body !== null && Symbol.asyncIterator in body);
  const answer = await request(`${url}${path}`, {
    method: (method ?? (body === undefined ? 'GET' : 'POST')) as 'GET',
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: (isSent ? body : JSON.stringify(body)) as string }),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, headers: answer.headers, body: (text === '' ? {} : JSON.parse(text)) as Body };
}

/**
 * An API over the jobs of a lab.
 * @param onFault is told what it logs as an error.
 */
export async function apiOf(
  { client, jobs, taskQueue }: Pick<ApiOptions, 'client' | 'jobs' | 'taskQueue'>,
  more: Partial<ApiOptions> = {},
  onFault: (fields: object) => void = () => undefined,
): Promise<Api> {
  const log = { error: onFault, warn: () => undefined };
  return await startApi({ client, jobs, taskQueue, keys: {}, host: '127.0.0.1', port: 0, page: false, log, ...more });
}

/** An API in front of a Temporal that is not there: for what it says of requests that never get that far. */
export async function apiWithoutTemporal(
  keys: ConfiguredApiKeys = {},
  more: Partial<ApiOptions> = {},
): Promise<Api & { readonly logged: readonly object[] }> {
  const client = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1', interceptors: [] }) });
  const logged: object[] = [];
  const log = { error: (fields: object) => logged.push(fields), warn: (fields: object) => logged.push(fields) };
  const server = await apiOf({ client, jobs: new ExportJobs(client), taskQueue: 'nobody' }, { keys, log, ...more });
  return {
    ...server,
    logged,
    close: async () => {
      await server.close();
      await client.connection.close();
    },
  };
}

/** What an API answers to bytes that need not be HTTP, until it closes the connection. */
export async function answerToBytes(
  { url }: Pick<Api, 'url'>,
  ...parts: readonly (string | Buffer)[]
): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  for (const part of parts) socket.write(part);
  await new Promise((resolve) => socket.once('close', resolve).once('error', resolve));
  return Buffer.concat(chunks).toString();
}

/** A body that does not end is refused after so many ms, and not before. @param request what is read of a request. */
export async function bodyIsGivenUp(request: object, afterMs: number): Promise<void> {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'performance'] });
  try {
    const payload = new PassThrough();
    const reading = bytesOf(request as FastifyRequest, payload);
    payload.write('{');
    await jest.advanceTimersByTimeAsync(afterMs - 1);
    payload.write(' ');
    jest.advanceTimersByTime(1);
    await expect(reading).rejects.toMatchObject({ refusal: { status: 408, code: 'BodyTooSlow' } });
  } finally {
    jest.useRealTimers();
  }
}

/** How many timers keep this process from ending. */
export function timersThatHold(): number {
  return process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
}
