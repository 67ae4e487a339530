import { expect, test } from '@jest/globals';
import { sourceSchema } from '../../src/config/source-config.ts';
import { readPostgresUrl } from '../../src/sources/postgres/url.ts';

const address = (url: string) => {
  const reading = readPostgresUrl(url);
  if (!reading.ok) throw new Error(reading.problem);
  return reading.address;
};

test('a URL says where and as whom; what it shows to people says only where', () => {
  expect(address('postgres://app:p%40ss%2Fword@db.example.com:6432/crm?sslmode=require')).toEqual({
    host: 'db.example.com',
    port: 6432,
    database: 'crm',
    user: 'app',
    password: 'p@ss/word',
    tls: 'verified',
    shown: 'db.example.com:6432/crm',
  });
  expect(address('postgresql:///crm?host=/var/run/postgresql')).toMatchObject({
    host: '/var/run/postgresql',
    database: 'crm',
    tls: 'none',
  });
  expect(address('postgres://[::1]:5432/crm').host).toBe('::1');
});

test.each([
  ['', 'none'],
  ['?sslmode=disable', 'none'],
  ['?sslmode=require', 'verified'],
  ['?sslmode=verify-ca', 'verified'],
  ['?sslmode=verify-full', 'verified'],
  ['?sslmode=no-verify', 'unverified'],
])('with %j TLS is %s', (query, tls) => {
  expect(address(`postgres://db.example.com/crm${query}`).tls).toBe(tls);
});

test.each([
  ['mysql://app:s3cret@db/crm', /must begin with postgres:\/\//],
  ['postgres://app:s3/cret@db:5432/crm', /written as %40/],
  ['postgres://app:7/s3cret@db:5432/crm', /written as %40/],
  ['postgres://app:/s3cret@db:5432/crm', /written as %40/],
  ['postgres://app:7?s3cret@db:5432/crm', /written as %40/],
  ['postgres://app:s3cret@db:5432/crm?sslmode=prefer', /sslmode must be one of disable, require/],
  ['postgres://app:s3cret@db:5432/crm?sslmode=constructor', /sslmode must be one of disable, require/],
  [
    'postgres://app:s3cret@db:5432/crm?sslrootcert=ca.pem',
    /only the parameters sslmode and host are known, not "sslrootcert"/,
  ],
  ['postgres://app:s3cret@db:5432/crm#s3cret', /must not contain #/],
  ['postgres://app:s3cret%@db:5432/crm', /a literal % must be written as %25/],
])('a URL that cannot be meant is refused without repeating it: %s', (url, message) => {
  const { error } = sourceSchema.safeParse({ kind: 'postgres', url });
  expect(error?.issues.map(({ message }) => message).join()).toMatch(message);
  expect(JSON.stringify(error?.issues)).not.toMatch(/s3|cret/);
});

test.each([
  ['tables and queries', { profiles: {}, queries: { audiences: 'a', members: 'b', profiles: 'c' } }, /not both/],
  ['a profile in one column and in several', { profiles: { profile: 'p', columns: 'all' } }, /not both/],
  ['a query that is empty', { queries: { audiences: ' ;', members: 'b', profiles: 'c' } }, /A query must be a SELECT/],
  ['a name of three parts', { profiles: { table: 'a.b.c' } }, /A table must be named/],
])('%s is refused', (_, rest, message) => {
  const { error } = sourceSchema.safeParse({ kind: 'postgres', url: 'postgres://db/crm', ...rest });
  expect(error?.issues.map(({ message }) => message).join()).toMatch(message);
});
