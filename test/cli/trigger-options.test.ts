import { expect, test } from '@jest/globals';
import { triggerFrom } from '../../src/cli/trigger-options.ts';

test('one trigger can be given by options', () => {
  expect(triggerFrom({ audience: 'vip', enter: true, user: '707' })).toEqual({
    event: 'enter',
    audience: 'vip',
    user: '707',
  });
  expect(
    triggerFrom({
      audience: 'vip',
      exit: true,
      user: '707',
      at: '2026-11-25T08:30:00Z',
      profile: '{"n":7076027172059065053}',
    }),
  ).toEqual({
    event: 'exit',
    audience: 'vip',
    user: '707',
    at: '2026-11-25T08:30:00Z',
    profile: { n: 7076027172059065053n },
  });
});

test.each([
  [{ audience: 'vip', user: '707' }],
  [{ audience: 'vip', user: '707', enter: true, exit: true }],
  [{ user: '707', enter: true }],
  [{ audience: 'vip', user: '707', enter: true, at: 'yesterday' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '{' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '[]' }],
])('%j is no trigger', (options) => {
  expect(() => triggerFrom(options)).toThrow(expect.objectContaining({ name: 'UsageError' }));
});

test('a profile that is not JSON is not quoted, since it is about somebody', () => {
  const options = { audience: 'vip', user: '707', enter: true, profile: '{"email":linnea}' };
  expect(() => triggerFrom(options)).toThrow(/^--profile is not JSON: something is wrong at character 10\.$/);
});
