import { expect, test } from '@jest/globals';
import { answered } from '../src/api/refusal.ts';
import { remedyLines } from '../src/cli/text.ts';
import { TriggersError } from '../src/client/calls/errors.ts';
import { remedyOnPage } from '../src/console/words.ts';
import type { Remedy, RemedyAction } from '../src/contract/remedy.ts';
import { REMEDIES } from '../src/words/remedy.ts';
import { apiWithoutTemporal, askOf } from './api/an-api.ts';

class Failure extends TriggersError {}

const ALL: readonly Remedy[] = (Object.keys(REMEDIES) as RemedyAction[]).map((action) => ({
  action,
  job: 'crm',
  id: 'letter',
}));

test('each door says every remedy in its own words', () => {
  const lines = ALL.map((remedy) => ({
    action: remedy.action,
    commandLine: remedyLines(new Failure('', {}, undefined, remedy)),
    api: answered(remedy).request,
    console: remedyOnPage(remedy),
  }));
  expect(lines).toMatchSnapshot();
});

test('the API has each request that a remedy names', async () => {
  const api = await apiWithoutTemporal();
  const { paths } = (await askOf(api, '/openapi.json')).body;
  await api.close();
  const unknown = ALL.flatMap(({ action }) => answered({ action }).request ?? []).filter((request) => {
    const [method = '', url = ''] = request.split(' ');
    const [path = ''] = url.split('?');
    return method !== 'add' && !Object.hasOwn(paths[path] ?? {}, method.toLowerCase());
  });
  expect(unknown).toEqual([]);
});
