import { afterAll, expect, test } from '@jest/globals';
import { connect } from '../../support/connection.ts';
import { missingSearchAttributes, registerSearchAttributes } from '../../../src/client/jobs/search-attributes.ts';
import { SEARCH_ATTRIBUTES } from '../../../src/domain/names.ts';
import { temporal } from '../../support/temporal.ts';

const NAMES = Object.keys(SEARCH_ATTRIBUTES);
const connection = await connect(temporal.address);
afterAll(() => connection.close());

/** A new namespace has no search attributes of anybody's. */
async function newNamespace(namespace: string): Promise<string> {
  const body = JSON.stringify({ namespace, workflowExecutionRetentionPeriod: '86400s' });
  const answer = await fetch(`${temporal.httpUrl}/api/v1/namespaces`, { method: 'POST', body });
  expect(await answer.text()).toBe('{}');
  return namespace;
}

/** The connection, but one call of the operator service is answered as a server without that right would. */
function denying(method: 'addSearchAttributes' | 'listSearchAttributes') {
  const denied = Object.assign(new Error('7 PERMISSION_DENIED: Request unauthorized.'), {
    code: 7,
    details: 'Request unauthorized.',
    metadata: {},
  });
  const operatorService = new Proxy(connection.operatorService, {
    get: (service, name) => (name === method ? () => Promise.reject(denied) : Reflect.get(service, name)),
  });
  return { operatorService, withDeadline: connection.withDeadline.bind(connection) };
}

test('a local server of ours misses nothing', async () => {
  expect(await missingSearchAttributes(connection, temporal.namespace)).toEqual([]);
});

test('registering makes them all known, and doing it again changes nothing', async () => {
  const namespace = await newNamespace('without-attributes');
  expect(await missingSearchAttributes(connection, namespace)).toEqual(NAMES);
  expect(await registerSearchAttributes(connection, namespace)).toEqual(NAMES);
  expect(await missingSearchAttributes(connection, namespace)).toEqual([]);
  expect(await registerSearchAttributes(connection, namespace)).toEqual([]);
});

test('two that register at once both succeed', async () => {
  const namespace = await newNamespace('registered-twice');
  await Promise.all([registerSearchAttributes(connection, namespace), registerSearchAttributes(connection, namespace)]);
  expect(await missingSearchAttributes(connection, namespace)).toEqual([]);
});

test('an attribute of another type counts as missing, and registering says why it cannot be had', async () => {
  const namespace = await newNamespace('wrong-type');
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: { ExportJobId: 1 } });
  expect(await missingSearchAttributes(connection, namespace)).toContain('ExportJobId');
  await expect(registerSearchAttributes(connection, namespace)).rejects.toMatchObject({
    name: 'SearchAttributesNotRegistered',
    missing: ['ExportJobId'],
    message: expect.stringContaining('with another type'),
  });
  expect(await missingSearchAttributes(connection, namespace)).toEqual(['ExportJobId']);
});

test('without the right to register, the error names what is missing and the commands for somebody who has it', async () => {
  const namespace = await newNamespace('not-mine');
  await expect(registerSearchAttributes(denying('addSearchAttributes'), namespace)).rejects.toThrow(
    /ExportJobId, ExportJobStatus, ExportAudiences, ExportPerson, ExportFailure could not be registered in the namespace "not-mine".*PERMISSION_DENIED.*search-attribute create --namespace not-mine --name ExportAudiences --type KeywordList/s,
  );
});

test('a server that does not let us look has none that we may rely on', async () => {
  expect(await missingSearchAttributes(denying('listSearchAttributes'), temporal.namespace)).toEqual(NAMES);
});

test('an unknown namespace is an error, not a missing attribute', async () => {
  await expect(missingSearchAttributes(connection, 'no-such-namespace')).rejects.toMatchObject({
    name: 'NamespaceNotFoundError',
    namespace: 'no-such-namespace',
  });
});
