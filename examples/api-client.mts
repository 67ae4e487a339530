// Starts a job, sends it triggers and looks at it, by the HTTP API, with types that are generated from its description. With `triggers up` and
// `triggers receive` beside it:
//
//   npm install openapi-fetch openapi-typescript typescript@5 tsx
//   npx openapi-typescript http://127.0.0.1:7280/openapi.json -o api-types.ts
//   npx tsx api-client.mts
import createClient from 'openapi-fetch';
import type { paths } from './api-types.ts';

const baseUrl = process.env['TRIGGERS_API'] ?? 'http://127.0.0.1:7280';
const key = process.env['TRIGGERS_API_KEY'];
const api = createClient<paths>({ baseUrl, headers: key === undefined ? {} : { authorization: `Bearer ${key}` } });

const audience = process.env['AUDIENCE'] ?? 'vip';
const id = process.env['JOB'] ?? 'by-the-api';
const started = await api.POST('/v1/jobs', {
  params: { query: { id } },
  body: {
    label: 'By the API',
    audiences: [audience],
    webhookUrl: process.env['WEBHOOK_URL'] ?? 'http://127.0.0.1:9000/hook',
    authorization: null,
  },
});
// Codes are stable, and words are not.
if (started.error !== undefined && started.error.code !== 'JobAlreadyRunning') throw new Error(started.error.detail);

const user = '7076027172059065053';
const path = { job: id };
const one = await api.POST('/v1/jobs/{job}/triggers', {
  params: { path, header: { 'idempotency-key': `order-17-${id}` } },
  body: { event: 'enter', audience, user, at: new Date().toISOString(), profile: { email: 'beth@example.com' } },
});
const lines = ['exit', 'enter'].map((event) => JSON.stringify({ event, audience, user, profile: {} }));
const more = await api.POST('/v1/jobs/{job}/triggers', {
  params: { path },
  headers: { 'content-type': 'application/x-ndjson' },
  body: lines.join('\n'),
  bodySerializer: (text) => String(text),
});
const list = await api.POST('/v1/triggers', {
  body: [{ event: 'exit', audience, user: 'nobody', profile: {} }],
});

await api.PATCH('/v1/jobs/{job}', { params: { path }, body: { parallelRequestCount: 7 } });
await api.POST('/v1/jobs/{job}/pause', { params: { path } });
const status = await api.POST('/v1/jobs/{job}/resume', { params: { path } });
const whole = await api.GET('/v1/jobs/{job}/definition', { params: { path } });
const jobs = await api.GET('/v1/jobs', { params: { query: { label: id, limit: '10' } } });
const nobody = await api.GET('/v1/jobs/{job}', { params: { path: { job: `no-${id}` } } });

console.log(
  JSON.stringify({
    accepted: [one.data?.accepted, more.data?.accepted, list.data?.accepted],
    state: status.data?.state,
    parallelRequestCount: whole.data?.['parallelRequestCount'],
    listed: jobs.data?.jobs.map(({ jobId }) => jobId),
    refused: nobody.error?.code,
  }),
);
