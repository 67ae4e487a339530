import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import { InvalidPayloadKeys, readPayloadKeys, splitPayloadKeys } from '../../src/temporal/payload-keys.ts';
import { aPayloadKey } from './a-payload-key.ts';

const BYTES = Buffer.alloc(32, 'secret').toString('base64');

test('the first key encrypts, and each is found by its id', () => {
  const keys = readPayloadKeys([aPayloadKey('2026-11'), aPayloadKey('2026-05')]);
  expect(keys.encrypting?.id).toBe('2026-11');
  expect([...keys.byId.keys()]).toEqual(['2026-11', '2026-05']);
});

test('without keys there is none that encrypts', () => {
  expect(readPayloadKeys([]).encrypting).toBeUndefined();
});

test('a lost key is known by its id, without anything to decrypt with', () => {
  const { byId } = readPayloadKeys([aPayloadKey('new'), 'old:lost']);
  expect(byId.has('old')).toBe(true);
  expect(byId.get('old')).toBeUndefined();
});

test('two keys with the same id differ in their check, which is always the same for one key', () => {
  const checkOf = (entry: string) => readPayloadKeys([entry]).encrypting?.check;
  expect(checkOf(`a:${BYTES}`)).toBe(checkOf(`b:${BYTES}`));
  expect(checkOf(`a:${BYTES}`)).toMatch(/^[0-9a-f]{16}$/);
  expect(checkOf(`a:${BYTES}`)).not.toBe(checkOf(aPayloadKey('a')));
});

test('keys in a variable are separated by commas', () => {
  expect(splitPayloadKeys(`a:${BYTES}, b:${BYTES}`)).toEqual([`a:${BYTES}`, `b:${BYTES}`]);
});

test.each<[what: string, keys: string[], says: RegExp]>([
  ['no id', [BYTES], /^Payload key 1 of 1 must be "<key id>:<base64 of 32 bytes>"/],
  ['an empty id', [`:${BYTES}`], /1 of 1 must be/],
  ['the key before its id', [`${BYTES}:a`], /1 of 1 must be/],
  ['an id with a space', [`a b:${BYTES}`], /1 of 1 must be/],
  ['an id that is too long', [`${'a'.repeat(33)}:${BYTES}`], /1 of 1 must be/],
  ['a key under the name of a lost one', [`a/${'0'.repeat(16)}:${BYTES}`], /1 of 1 must be/],
  ['a short key', [`a:${BYTES}`, `b:${BYTES.slice(0, 40)}`], /^Payload key 2 of 2 must have exactly 32 bytes/],
  ['a long key', [`a:${Buffer.alloc(48, 'secret').toString('base64')}`], /exactly 32 bytes/],
  ['a wrong character', [`a:${BYTES.replace('c', '!')}`], /exactly 32 bytes/],
  ['base64url', [`a:${Buffer.alloc(32, 0xff).toString('base64url')}`], /exactly 32 bytes/],
  ['no key', ['a:'], /exactly 32 bytes/],
  ['the same id twice', [`a:${BYTES}`, aPayloadKey('a')], /2 of 2 has the same id as one before it/],
  ['a first key that is a lost one', ['a:lost', `b:${BYTES}`], /first payload key encrypts/],
])('%s is an error that names its position, without repeating a key', (_, keys, says) => {
  const error = errorOf(() => readPayloadKeys(keys));
  expect(error).toBeInstanceOf(InvalidPayloadKeys);
  expect((error as Error).message).toMatch(says);
  expect(inspect(error)).not.toMatch(/c2VjcmV0|Y3JldHNl|cmV0c2Vj|lost:|\/{20}|_{20}/);
});

function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('Nothing was thrown.');
}
