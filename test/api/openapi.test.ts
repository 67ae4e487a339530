import { beforeAll, expect, test } from '@jest/globals';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { apiWithoutTemporal, askOf } from './an-api.ts';

// What a client makes of it that is generated from it: test/examples/api-client.test.ts.

interface Operation {
  readonly operationId: string;
  readonly requestBody?: { readonly required?: boolean; readonly content: object };
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
  readonly security?: readonly object[];
}

let document: { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
beforeAll(async () => {
  const api = await apiWithoutTemporal();
  document = (await askOf(api, '/openapi.json')).body as unknown as typeof document;
  await api.close();
});

const operation = (method: string, path: string): Operation => {
  const found = document.paths[path]?.[method];
  if (found === undefined) throw new Error(`There is no ${method} ${path}.`);
  return found;
};

test('the linter of OpenAPI has nothing to say against /openapi.json', async () => {
  const config = await createConfig({ extends: ['recommended-strict'] });
  const found = await lintFromString({ source: JSON.stringify(document), absoluteRef: 'openapi.json', config });
  expect(found.map(({ ruleId, message, location }) => `${ruleId}: ${message} (${location[0]?.pointer ?? ''})`)).toEqual(
    [],
  );
});

test('each operation has a name of its own, and all say what they fail with', () => {
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(['postTriggers', 'getJobsByJob', 'postJobsByJobPause']));
  for (const { responses } of operations)
    for (const failure of ['4XX', '5XX'])
      expect(Object.keys(responses[failure]?.content ?? {})).toEqual(['application/problem+json']);
});

test('it says which bodies may be left out, that triggers may come as NDJSON, and what needs no key', () => {
  expect(operation('post', '/v1/jobs').requestBody?.required).toBe(true);
  expect(operation('post', '/v1/jobs/{job}/stop').requestBody?.required).toBe(false);
  expect(operation('post', '/v1/jobs/{job}/pause').requestBody).toBeUndefined();
  for (const path of ['/v1/triggers', '/v1/jobs/{job}/triggers'])
    expect(Object.keys(operation('post', path).requestBody?.content ?? {})).toEqual([
      'application/json',
      'application/x-ndjson',
    ]);
  expect(operation('post', '/v1/ingest/{ingest}').security).toEqual([]);
  expect(Object.keys(operation('get', '/v1/jobs/{job}/status/stream').responses['200']?.content ?? {})).toEqual([
    'text/event-stream',
  ]);
});
