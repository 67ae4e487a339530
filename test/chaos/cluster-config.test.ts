import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { clusterConfig, dynamicConfigLines } from '../../chaos/cluster-config.ts';

const places = {
  postgresPort: 5000,
  ports: [6001, 6002, 6003, 6004, 6005, 6006, 6007, 6008, 6009, 6010, 6011],
  dynamicConfigFile: '/somewhere/dynamic.yaml',
};
const config = clusterConfig(places, 'somebody');

test('each service has ports of its own, and only loopback hears them', () => {
  const { services } = config;
  const rpcs = Object.values(services).map(({ rpc }) => rpc);
  expect(rpcs.map(({ bindOnLocalHost }) => bindOnLocalHost)).toEqual([true, true, true, true]);
  const used = rpcs.flatMap((rpc) => Object.values(rpc).filter((value) => typeof value === 'number'));
  expect(used.toSorted((a, b) => a - b)).toEqual(places.ports.filter((port) => port !== 6006 && port !== 6011));
  expect(services.frontend.rpc).toMatchObject({ grpcPort: 6001, httpPort: 6002 });
  expect(config.clusterMetadata.clusterInformation.active.rpcAddress).toBe('127.0.0.1:6001');
});

test('both stores are the databases that schema.sh makes, in the PostgreSQL that it was told', () => {
  const { persistence } = config;
  const stores = [persistence.datastores.default, persistence.datastores.visibility].map(({ sql }) => sql);
  expect(stores.map(({ databaseName }) => databaseName)).toEqual(['temporal', 'temporal_visibility']);
  for (const sql of stores)
    expect(sql).toMatchObject({ pluginName: 'postgres12', connectAddr: '127.0.0.1:5000', user: 'somebody' });
});

test('a frontend that asks who calls has another one beside it, for the server itself', () => {
  const guard = { tls: { frontend: { server: { requireClientAuth: true } } } };
  const { services, global } = clusterConfig(places, 'somebody', guard);
  expect(services).toMatchObject({ 'internal-frontend': { rpc: { grpcPort: 6006, membershipPort: 6011 } } });
  expect(global).toMatchObject(guard);
});

test('too few ports are an error', () => {
  expect(() => clusterConfig({ ...places, ports: [6001, 6002] }, 'somebody')).toThrow('11 ports');
});

test('settings are a file of dynamic configuration as the server reads it', () => {
  const lines = dynamicConfigLines({ 'limit.blobSize.error': 65_536, 'some.switch': true, 'some.name': 'a: b' });
  expect(parse(lines)).toEqual({
    'limit.blobSize.error': [{ value: 65_536 }],
    'some.switch': [{ value: true }],
    'some.name': [{ value: 'a: b' }],
  });
});

test('of a setting that stands there twice, ours is the one that counts', () => {
  const own = 'limit.historySize.error:\n  - value: 1\nother:\n  - value: 2\n';
  expect(parse(dynamicConfigLines({ 'limit.historySize.error': 3 }, own))).toEqual({
    'limit.historySize.error': [{ value: 3 }],
    other: [{ value: 2 }],
  });
});
