import { expect, test } from '@jest/globals';
import { whatWorkersAreTold, withHeldBack } from '../../../src/client/jobs/worker-rpc.ts';
import { checkJobDefinition } from '../../../src/contract/export-job.ts';
import type { PreparedJob } from '../../../src/contract/ports.ts';

const GOOD = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://a.example/', authorization: null };

function toldOf(definition: unknown) {
  const checked = checkJobDefinition(definition);
  if (checked.ok) throw new Error('There is nothing wrong with it.');
  const { told, problems } = whatWorkersAreTold(definition, checked.problems);
  return { told, fields: problems.map(({ field }) => field) };
}

test('[S22] a URL with a password never leaves the client, and what is wrong with it is said here', () => {
  const { webhookUrl: _, ...rest } = GOOD;
  expect(toldOf({ ...GOOD, webhookUrl: 'https://me:s3cret@a.example/' })).toEqual({
    told: rest,
    fields: ['webhookUrl'],
  });
});

test('[S22] a field that does not exist never leaves the client: it may be where somebody put a secret', () => {
  const definition = { ...GOOD, headers: { authorization: 'Bearer s3cret' }, secret: 's3cret' };
  expect(toldOf(definition)).toEqual({ told: GOOD, fields: ['headers.authorization', 'secret'] });
});

test.each(['label.secret', 'authorization.bearer', 'audiences[0]'])(
  '[S22] nor does one that is written like a part of a field, %s',
  (field) => {
    expect(toldOf({ ...GOOD, [field]: 's3cret' })).toEqual({ told: GOOD, fields: [field] });
  },
);

test.each([{ bearer: 's3cret' }, 's3cret'.repeat(20), ''])(
  '[S22] what cannot be the name of an authorization never leaves the client: it may be the secret itself',
  (authorization) => {
    const { authorization: _, ...rest } = GOOD;
    expect(toldOf({ ...GOOD, authorization })).toEqual({ told: rest, fields: ['authorization'] });
  },
);

test('what else is wrong is for the worker to say, with all that it knows', () => {
  const definition = { ...GOOD, label: '', audiences: ['vip', 7] };
  expect(toldOf(definition)).toEqual({ told: definition, fields: [] });
});

test.each(['text', null, ['s3cret'], 7])('of %j no worker is asked', (definition) => {
  expect(toldOf(definition)).toEqual({ told: undefined, fields: [''] });
});

test('a worker that likes what it was told does not make a wrong definition right: what was held back is still said', () => {
  const liked = {
    ok: true,
    definition: { ...GOOD, exportFields: [], existingUsers: false, userLegacyMessageFormat: false },
    audiences: [],
    warnings: [],
  } as unknown as PreparedJob;
  const unknown = { field: 'exportField', message: 'There is no such field. Did you mean "exportFields"?' };
  expect(withHeldBack([unknown], liked)).toEqual({ ok: false, problems: [unknown] });
  expect(withHeldBack([], liked)).toBe(liked);
});
