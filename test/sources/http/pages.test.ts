import { expect, test } from '@jest/globals';
import { filled } from '../../../src/sources/http/audiences.ts';

test('what means something in a URL is encoded wherever a value stands', () => {
  expect(filled('/a/{user}/b?x={user}&y={users}', { user: 'a/b?c&d=#é', users: ['1', '2,3'] })).toBe(
    '/a/a%2Fb%3Fc%26d%3D%23%C3%A9/b?x=a%2Fb%3Fc%26d%3D%23%C3%A9&y=1,2%2C3',
  );
});

test.each([
  ['/m?after={cursor}', '/m'],
  ['/m?after={cursor}&limit={limit}', '/m?limit=10'],
  ['/m?limit={limit}&after={cursor}', '/m?limit=10'],
  ['/m?a=1&after={cursor}&limit={limit}', '/m?a=1&limit=10'],
  ['/m?after=v{cursor}', '/m?after=v'],
  ['/m/{cursor}', '/m/'],
])('without a cursor, %s is %s', (template, path) => {
  expect(filled(template, { cursor: '', limit: '10' })).toBe(path);
});

test('a value that looks like a placeholder is not one', () => {
  expect(filled('/{user}?{limit}', { user: '{limit}$&', limit: '5' })).toBe('/%7Blimit%7D%24%26?5');
});
