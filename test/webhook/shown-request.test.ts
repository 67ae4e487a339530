import { expect, test } from '@jest/globals';
import { shownRequest } from '../../src/webhook/shown-request.ts';

const url = new URL('https://hooks.example.com/t0ken/path?key=s3cret');

function shown(headers: string[], query?: string) {
  return shownRequest(url, { headers, body: '{}', ...(query === undefined ? {} : { query }) }, 1000);
}

test('[S22] for headers that are not the worker’s own, only the names are shown, without values', () => {
  const names = ['x-api-key', 'cookie', 'X-Webhook-Id', 'date', 'x-user-agent'];
  expect(shown(names.flatMap((name) => [name, 's3cret'])).headers).toEqual(names.map((name) => [name, '…']));
});

test('the worker’s own headers are shown as they are, in their order', () => {
  const headers = [
    'content-type',
    'application/json',
    'user-agent',
    'a/1',
    'webhook-id',
    'i',
    'webhook-timestamp',
    '1',
  ];
  expect(shown(headers).headers.flat()).toEqual(headers);
});

test('[S22] only the kinds and number of signatures are shown: with whole ones, somebody could send the message again', () => {
  expect(shown(['webhook-signature', 'v1,abc= v1a,def=']).headers).toEqual([['webhook-signature', 'v1,… v1a,…']]);
});

test.each([
  ['Bearer s3cret', 'Bearer …'],
  ['Basic s3cret', 'Basic …'],
  ['s3cret token', '…'],
  ['Bearers3cret', '…'],
])('[S22] the authorization %j is shown as %j', (value, masked) => {
  expect(shown(['authorization', value]).headers).toEqual([['authorization', masked]]);
});

test('[S22] the URL is shown as everywhere, with the names of the parameters that the authorization adds', () => {
  expect(shown([], 'sig=s3cret').url).toBe('https://hooks.example.com/…?key=…&sig=…');
});
