import { EventEmitter, once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/app/config.ts';
import { reloadAuthorizations } from '../../src/worker/authorizations-reload.ts';
import { configured } from '../webhook/an-authorization.ts';
import { tempFolder } from '../support/temp-folder.ts';

let folder = '';
let path = '';
let token = '';
let end: () => void = () => undefined;

beforeEach(() => {
  folder = tempFolder();
  [path, token] = [join(folder, 'triggers.config.json'), join(folder, 'token')];
  writeFileSync(token, 'first\n');
  writeFileSync(path, config('${file:token}'));
});
afterEach(() => {
  end();
});

const config = (bearer: string) =>
  JSON.stringify({ authorizations: { crm: { origins: ['https://a.example'], bearer } } });

/** Reloads, and tells what was taken over and said; `next` resolves with what happens next. */
function reloading() {
  const waiting: ((event: unknown) => void)[] = [];
  const events: unknown[] = [];
  const tell = (event: unknown): void => {
    events.push(event);
    for (const resolve of waiting.splice(0)) resolve(event);
  };
  const looks = new EventEmitter();
  const read = () => {
    looks.emit('look');
    return loadConfig({ path, env: {} }).authorizations;
  };
  const reload = reloadAuthorizations({
    read,
    initial: read(),
    replace: (authorizations) => tell(authorizations['crm']?.bearer),
    log: { info: () => undefined, warn: (_, fields) => tell(fields['problem']) },
    everyMs: 10,
  });
  end = reload.end;
  return {
    events,
    problem: reload.problem,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    /** Resolves when it has looked some times more, whatever came of that. */
    lookedOn: async () => {
      for (let times = 0; times < 4; times++) await once(looks, 'look');
    },
  };
}

test('a changed file of a secret is taken over without a restart', async () => {
  const { next, events } = reloading();
  const changed = next();
  writeFileSync(token, 'second\n');
  expect(await changed).toBe('second');
  const again = next();
  writeFileSync(path, config('third'));
  expect(await again).toBe('third');
  expect(events).toEqual(['second', 'third']);
});

test('an unusable configuration is reported once and not applied; a later fix is applied', async () => {
  const { next, events, lookedOn, problem: told } = reloading();
  expect(told()).toBeUndefined();
  const problem = next();
  writeFileSync(path, config('two words'));
  expect(await problem).toMatch(/at authorizations\.crm\.bearer/);
  await lookedOn();
  // Readiness needs no key, so the answer says that something is wrong, and not what.
  expect(told()).toBe(
    'The changed configuration cannot be used, and the one before stays: the log of the worker says why.',
  );
  const repaired = next();
  writeFileSync(path, config('repaired'));
  expect(await repaired).toBe('repaired');
  expect(told()).toBeUndefined();
  await lookedOn();
  expect(events).toHaveLength(2);
  expect(String(events[0])).not.toContain('two words');
});

test('a configuration that breaks again after a fix is reported again', async () => {
  const { next, events, lookedOn } = reloading();
  for (const isFirst of [true, false]) {
    const problem = next();
    rmSync(token);
    expect(await problem).toMatch(/\$\{file:token\}/);
    writeFileSync(token, 'first\n');
    if (isFirst) await lookedOn();
  }
  expect(events).toHaveLength(2);
});

test('an authorization that is taken away is named in the log, since jobs may use it', async () => {
  const origins = ['https://a.example'];
  const left = configured({ stays: { origins, bearer: 's' } });
  const initial = { ...left, ...configured({ goes: { origins, bearer: 'g' } }) };
  const warned = new Promise((resolve) => {
    ({ end } = reloadAuthorizations({
      read: () => left,
      initial,
      replace: () => undefined,
      log: { info: () => undefined, warn: (message, fields) => resolve({ message, ...fields }) },
      everyMs: 10,
    }));
  });
  expect(await warned).toEqual({
    message: 'authorizations were removed; jobs that use them wait',
    authorizations: ['goes'],
  });
});
