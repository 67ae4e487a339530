import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { inspect } from 'node:util';
import { beforeEach, expect, test } from '@jest/globals';
import { configWarnings, configuredPayloadKeys, configuredTaskQueue } from '../../src/config/file.ts';
import { configReader, loadConfig } from '../../src/app/config.ts';
import { ConfigError } from '../../src/config/problems.ts';
import { shownSource } from '../../src/app/source.ts';
import { thrownBy } from '../support/thrown-by.ts';
import { tempFolder } from '../support/temp-folder.ts';

let folder = '';

beforeEach(() => {
  folder = tempFolder();
});

function file(content: unknown): string {
  const path = join(folder, 'triggers.config.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** What is wrong with a configuration, as it is shown to people. */
function errorOf(content: unknown, env: NodeJS.ProcessEnv = {}): string {
  const path = file(content);
  try {
    loadConfig({ path, env });
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return inspect(error); // Its cause too: that is what a log shows.
  }
  throw new Error('The configuration was accepted.');
}
const crm = { origins: ['https://hooks.example.com'], headers: { authorization: 'Bearer s3cret' } };

test('every setting has a default without a file and variables', () => {
  expect(loadConfig({ path: file({}), env: {} })).toEqual({
    taskQueue: 'audience-triggers',
    apiKeys: {},
    ingests: {},
    authorizations: {},
    alerts: { authorization: null, backlogMinutes: 15 },
    payloadKeys: [],
    requestTimeoutMs: 15_000,
    maxConcurrentSlices: 1000,
    network: {
      allowHttp: false,
      allowAddresses: [],
      allowPorts: ['443', '80', '1024-65535'],
      certificateAuthorities: [],
    },
    serverLimits: { payloadBytes: 2_097_152, signalsPerRun: 10_000, eventsPerRun: 51_200 },
    watch: {},
    logLevel: 'info',
  });
});

test('an unreadable file is blamed on what named it', () => {
  const none = join(folder, 'none.json');
  const wrong = (options: Parameters<typeof loadConfig>[0]) => () => loadConfig(options);
  expect(wrong({ path: none, env: {} })).toThrow(/none\.json cannot be read\. Check the path after --config\.$/);
  expect(wrong({ env: { TRIGGERS_CONFIG: none } })).toThrow(/or unset TRIGGERS_CONFIG\.$/);
});

test('the file that is given is read, or else the one that the variable names', () => {
  const path = file({ taskQueue: 'from-file' });
  expect(loadConfig({ env: { TRIGGERS_CONFIG: path } }).taskQueue).toBe('from-file');
  expect(loadConfig({ path, env: { TRIGGERS_CONFIG: join(folder, 'none.json') } }).taskQueue).toBe('from-file');
});

test('the reader does not check an unchanged configuration again, and sees changes in files that it refers to', () => {
  writeFileSync(join(folder, 'token'), 'first');
  const read = configReader({
    path: file({ authorizations: { crm: { ...crm, headers: { key: '${file:token}' } } } }),
    env: {},
  });
  const first = read();
  expect(read()).toBe(first);
  writeFileSync(join(folder, 'token'), 'second');
  expect(read().authorizations['crm']?.headers).toEqual({ key: 'second' });
  writeFileSync(join(folder, 'token'), 'two\nlines');
  expect(read).toThrow(ConfigError);
  writeFileSync(join(folder, 'token'), 'second');
  expect(read().authorizations['crm']?.headers).toEqual({ key: 'second' });
});

test.each([
  { headers: { 'authorization: Bearer s3cret': '' } },
  { queryParameters: { 'key=s3cret': '' } },
  { oauth2: { tokenUrl: 'https://a.example', clientId: 'me', clientSecret: 'x', parameters: { 'key s3cret': 7 } } },
  { 'authorization: Bearer s3cret': '' },
])('[S22] text in the place of a key is not repeated if it may contain a secret: %j', (more) => {
  const error = errorOf({ authorizations: { crm: { origins: crm.origins, ...more } } });
  expect(error).toMatch(/authorizations\.crm/);
  expect(error).not.toContain('s3cret');
});

const partner = { audience: 'vip', signature: { secret: 'a secret of at least 24 characters', header: 'x-signature' } };

test.each([
  ['event', '$query.event', {}],
  ['event', '$headers."x-event"', {}],
  ['profile', '$headers', {}],
  ['at', '$headers.`webhook-timestamp`', {}],
])('[S36] the expression "%s" may not read %s where a signature is the only proof', (part, text, more) => {
  const expressions = { user: 'who', event: 'what', [part]: text };
  expect(errorOf({ ingests: { partner: { ...partner, ...more, expressions } } })).toContain(`expressions.${part}`);
  const header = { name: 'x-key', value: 'a secret of 16 or more' };
  const proved = { ...partner, ...more, header, expressions };
  expect(loadConfig({ path: file({ ingests: { partner: proved } }), env: {} }).ingests).toHaveProperty('partner');
});

test.each([
  {
    at: '$headers.`webhook-timestamp`',
    signature: { secret: `whsec_${Buffer.alloc(24).toString('base64')}`, kind: 'standard-webhooks' },
  },
  { id: '$headers."x-request-id"' },
  { at: '$body.query & headers' },
])('[S36] what a signature covers, and the id of a message, may be read: %j', (more) => {
  const { signature = partner.signature, ...own } = more as Partial<typeof partner>;
  const ingests = { partner: { ...partner, signature, expressions: { user: 'who', event: 'what', ...own } } };
  expect(loadConfig({ path: file({ ingests }), env: {} }).ingests).toHaveProperty('partner');
});

test('a variable overrides the file', () => {
  const env = { TRIGGERS_TASK_QUEUE: 'q', TRIGGERS_LOG_LEVEL: 'debug', TRIGGERS_SOURCE: 'data' };
  const path = file({ taskQueue: 'from-file', logLevel: 'warn', source: { kind: 'file', folder: 'other' } });
  expect(loadConfig({ path, env })).toMatchObject({
    taskQueue: 'q',
    logLevel: 'debug',
    source: { kind: 'file', folder: resolve('data') },
  });
});

test('a source that a variable replaces is named, since none of its settings applies any more', () => {
  const path = file({ source: { kind: 'file', folder: 'other', quietMs: 0 } });
  expect(configWarnings({ path, env: { TRIGGERS_SOURCE: 'data' } })).toEqual([
    expect.stringContaining(`the whole "source" of ${path} is not used`),
  ]);
  expect(configWarnings({ path, env: { TRIGGERS_SOURCE: '' } })).toEqual([]);
  expect(configWarnings({ path: file({}), env: { TRIGGERS_SOURCE: 'data' } })).toEqual([]);
});

test('[S22] a secret that stands in the file is warned of by the name of its setting, and not repeated', () => {
  const path = file({ authorizations: { crm: { origins: ['https://crm.example'], bearer: 's3cret' } } });
  const [warning = '', ...others] = configWarnings({ path, env: {} });
  expect(others).toEqual([]);
  expect(warning).toContain('authorizations.crm.bearer');
  expect(warning).not.toContain('s3cret');
});

test('a source given as a URL is PostgreSQL with the default schema, and is shown without user and secrets', () => {
  const url = 'postgres://app:s3cret@db.example.com:6432/crm?sslmode=require';
  const { source } = loadConfig({ path: file({}), env: { TRIGGERS_SOURCE: url } });
  expect(source).toMatchObject({ kind: 'postgres', url, poolSize: 10, statementTimeoutMs: 10_000, lagMs: 0 });
  expect(source && shownSource(source)).toBe('PostgreSQL, db.example.com:6432/crm');
  const wrong = () => loadConfig({ path: file({}), env: { TRIGGERS_SOURCE: `${url}#s3cret` } });
  expect(wrong).toThrow(/at source\.url/);
  expect(wrong).not.toThrow(/s3cret/);
});

const URL_BEHIND = '//u:s3cret@127.0.0.1/db?key=s3cret';

test.each([
  `postgresq:${URL_BEHIND}`,
  'postgres:/u:s3cret@127.0.0.1/db',
  ` postgres:${URL_BEHIND}`,
  `"postgres:${URL_BEHIND}"`,
  `'postgres:${URL_BEHIND}'`,
  `https:${URL_BEHIND}`,
])('[S22] the configuration refuses a folder that looks like a URL, and does not repeat it: %s', (text) => {
  const refused = /This looks like a URL, not a folder\..*\n.*at source\.folder/;
  for (const error of [
    errorOf({}, { TRIGGERS_SOURCE: text }),
    errorOf({ source: { kind: 'file', folder: text } }),
    errorOf({ source: { kind: 'file', folder: '${env:DB}' } }, { DB: text }),
  ]) {
    expect(error).toMatch(refused);
    expect(error).not.toMatch(/s3cret|127\.0\.0\.1/);
  }
});

test('[S22] the configuration does not repeat a database URL given as a folder in the file', () => {
  const error = errorOf({ source: { kind: 'file', folder: `postgres:${URL_BEHIND}` } });
  expect(error).toMatch(/looks like a URL, not a folder/);
  expect(error).not.toContain('s3cret');
});

test.each(['', ' ', 'https://u:s3cret@files.example.com/x'])(
  'the configuration refuses an invalid folder for lists of members, too: %j',
  (text) => {
    const error = errorOf({ watch: { folder: text } });
    expect(error).toMatch(/at watch\.folder/);
    expect(error).not.toContain('s3cret');
    if (text !== '') expect(errorOf({}, { TRIGGERS_WATCH_FOLDER: text })).toMatch(/at watch\.folder/);
  },
);

test.each(['', ' '])('a folder that is not named is none, and not that of the configuration: %j', (text) => {
  const message = /A folder must be named.*\n.*at source\.folder/;
  expect(errorOf({ source: { kind: 'file', folder: text } })).toMatch(message);
  expect(errorOf({ source: { kind: 'file', folder: '${env:DATA}' } }, { DATA: ' ' })).toMatch(message);
});

test('a folder may have a colon in its name, or a drive before it', () => {
  for (const name of ['a:b', 'data/postgres:/x', 'C:/data'])
    expect(loadConfig({ path: file({}), env: { TRIGGERS_SOURCE: name } }).source).toMatchObject({
      folder: resolve(name),
    });
});

test('the scheme of a database URL may be written in capitals', () => {
  const url = 'Postgres://app:s3cret@db.example.com/crm';
  const { source } = loadConfig({ path: file({}), env: { TRIGGERS_SOURCE: url } });
  expect(source && shownSource(source)).toBe('PostgreSQL, db.example.com/crm');
});

test('the password of a source may be in a file, whatever characters it has', () => {
  const config = file({ source: { kind: 'postgres', url: 'postgres://app@db/crm', password: '${file:password}' } });
  writeFileSync(join(folder, 'password'), 'p@ss/w#rd%\n');
  expect(loadConfig({ path: config, env: {} }).source).toMatchObject({ password: 'p@ss/w#rd%' });
});

test('an empty variable counts as unset', () => {
  const env = { TRIGGERS_TASK_QUEUE: '', TRIGGERS_LOG_LEVEL: '', TRIGGERS_SOURCE: '' };
  const config = loadConfig({ path: file({ taskQueue: 'from-file' }), env });
  expect([config.taskQueue, config.source]).toEqual(['from-file', undefined]);
});

test('a folder is relative to the file that names it', () => {
  const path = file({ source: { kind: 'file', folder: 'people' }, watch: { folder: 'watch' } });
  const config = loadConfig({ path, env: {} });
  expect(config.source).toEqual({ kind: 'file', folder: join(folder, 'people') });
  expect(config.watch.folder).toBe(join(folder, 'watch'));
  expect(loadConfig({ path, env: { TRIGGERS_WATCH_FOLDER: 'w' } }).watch.folder).toBe(resolve('w'));
});

test.each<[what: string, content: unknown, message: RegExp]>([
  ['an unknown key', { sorce: {} }, /There is no setting "sorce"\. Did you mean "source"\?/],
  ['an unknown key that is near nothing', { network: { xyz: 1 } }, /"xyz"\. The settings here are allowHttp, /],
  ['a key twice', '{"taskQueue":"a","taskQueue":"b"}', /one object has "taskQueue" twice/],
  ['a time in seconds', { source: { kind: 'file', folder: 'x', lagMs: 60 } }, /milliseconds, 0 or from 100 to/],
  ['an authorization without a name', { authorizations: { '': crm } }, /at authorizations/],
  ['an authorization that proves nothing', { authorizations: { crm: { origins: crm.origins } } }, /It proves nothing/],
  ['a proxy with a path', { network: { proxy: 'http://proxy.example.com:3128/x' } }, /and nothing else/],
  ['a proxy whose user cannot be decoded', { network: { proxy: 'http://a%zz@proxy.example.com' } }, /and nothing else/],
  [
    'alerts with an authorization that does not exist',
    { authorizations: { operators: crm }, alerts: { url: 'https://hooks.example.com/', authorization: 'operator' } },
    /There is no such authorization\. Did you mean "operators"\?\n.*at alerts\.authorization/,
  ],
  [
    'alerts with an authorization that is not for their URL',
    { authorizations: { crm }, alerts: { url: 'https://alerts.example.com/', authorization: 'crm' } },
    /may not be sent to the origin of "url"/,
  ],
  [
    'an authorization for alerts without a URL',
    { authorizations: { crm }, alerts: { authorization: 'crm' } },
    /There is no "url"/,
  ],
  ['a time that is too short', { requestTimeoutMs: 5 }, /at requestTimeoutMs/],
  ['something else than an object', [], /must contain a JSON object/],
  ['something else than JSON', '{"taskQueue": }', /is not JSON: something is wrong in line 1, at character 15\./],
])('%s is an error that says where', (_, content, message) => {
  expect(errorOf(content)).toMatch(message);
});

test('a certificate authority that is not a certificate is refused and not repeated', () => {
  const message = errorOf({ network: { certificateAuthorities: ['-----BEGIN PRIVATE KEY-----s3cret'] } });
  expect(message).toMatch(/one or more certificates as PEM.*\n.*at network\.certificateAuthorities\[0\]/);
  expect(message).not.toContain('s3cret');
});

test.each(['/s3 cret', '/s3cret ', '/s3\tcret', '\\s3cret'])(
  'the configuration refuses a URL of alerts that would not be sent as written, and does not repeat it: %j',
  (rest) => {
    const message = errorOf({ alerts: { url: `https://alerts.example.com${rest}` } });
    expect(message).toMatch(/Write %20 for a blank.*\n.*at alerts\.url/);
    // The folder of a test has a random name.
    expect(message.replaceAll(/triggers-test-\w+/g, '')).not.toMatch(/s3|cret|example/);
  },
);

test('a range of ports that would allow nothing is refused', () => {
  expect(errorOf({ network: { allowPorts: ['2000-1000'] } })).toMatch(/up to 65535.*\n.*at network\.allowPorts\[0\]/);
});

test.each(['{"token": s3cret}', '{"token": "s3cret" "x"}', '{"token": "s3cret', 's3cret'])(
  'a file that is not JSON is not quoted in the error: %s',
  (text) => {
    expect(errorOf(text)).not.toContain('s3cret');
  },
);

test('the task queue has a default, may come from a variable, and is an error when it is wrong', () => {
  expect(configuredTaskQueue({ TRIGGERS_CONFIG: file({}) })).toBe('audience-triggers');
  expect(configuredTaskQueue({ TRIGGERS_CONFIG: file({ taskQueue: '${env:QUEUE}' }), QUEUE: 'q' })).toBe('q');
  expect(() => configuredTaskQueue({ TRIGGERS_CONFIG: file({ taskQueue: 7 }) })).toThrow(/"taskQueue"/);
  expect(() => configuredTaskQueue({ TRIGGERS_CONFIG: join(folder, 'none.json') })).toThrow(/cannot be read/);
});

const KEY = `k1:${Buffer.alloc(32, 's3cret').toString('base64')}`;
const NEW_KEY = `k2:${Buffer.alloc(32, 's3cret2').toString('base64')}`;

test('the task queue and the payload keys can be read without the secrets that a worker needs', () => {
  const headers = { authorization: 'Bearer ${env:CRM_TOKEN}' };
  const content = { taskQueue: 'marketing', payloadKeys: [KEY], authorizations: { crm: { ...crm, headers } } };
  const TRIGGERS_CONFIG = file(content);
  expect(configuredTaskQueue({ TRIGGERS_CONFIG })).toBe('marketing');
  expect(configuredTaskQueue({ TRIGGERS_CONFIG, TRIGGERS_TASK_QUEUE: 'sales' })).toBe('sales');
  expect(configuredPayloadKeys({ TRIGGERS_CONFIG })).toEqual([KEY]);
  expect(configuredPayloadKeys({ TRIGGERS_CONFIG: file({}) })).toEqual([]);
});

test('the name of a task queue may not begin or end with a blank, wherever it is set or read', () => {
  const message = /The name of a task queue has no blanks at its ends\./;
  for (const name of [' x', 'x ', ' x ', ' '])
    for (const env of [
      { TRIGGERS_CONFIG: file({}), TRIGGERS_TASK_QUEUE: name },
      { TRIGGERS_CONFIG: file({ taskQueue: name }) },
    ]) {
      expect(() => loadConfig({ env })).toThrow(/at taskQueue/);
      expect(() => loadConfig({ env })).toThrow(message);
      expect(() => configuredTaskQueue(env)).toThrow(message);
    }
  const named = { TRIGGERS_CONFIG: file({}), TRIGGERS_TASK_QUEUE: ' x' };
  expect(() => configuredTaskQueue(named)).toThrow(/^The variable TRIGGERS_TASK_QUEUE is wrong/);
  expect(configuredTaskQueue({ ...named, TRIGGERS_TASK_QUEUE: 'two words' })).toBe('two words');
});

test('payload keys come from the file, its references, or the variable that overrides it; worker and client read the same', () => {
  const path = file({ payloadKeys: ['${env:NEW}', KEY], authorizations: { crm } });
  const fromFile = { TRIGGERS_CONFIG: path, NEW: NEW_KEY };
  const fromVariable = { ...fromFile, TRIGGERS_PAYLOAD_KEYS: `${KEY}, ${NEW_KEY}` };
  for (const [env, keys] of [
    [fromFile, [NEW_KEY, KEY]],
    [fromVariable, [KEY, NEW_KEY]],
  ] as const) {
    expect(loadConfig({ env }).payloadKeys).toEqual(keys);
    expect(configuredPayloadKeys(env)).toEqual(keys);
  }
});

test.each<[what: string, payloadKeys: unknown]>([
  ['a key without an id', [KEY.slice(3)]],
  ['a key that lost its end', [KEY.slice(0, -2)]],
  ['two keys with the same id', [KEY, KEY]],
  ['a key instead of a list', KEY],
  ['a key by its id', { k1: KEY.slice(3) }],
])('%s is an error for worker and client alike that does not repeat it', (_, payloadKeys) => {
  const asClient = () => configuredPayloadKeys({ TRIGGERS_CONFIG: file({ payloadKeys }) });
  expect(asClient).toThrow(ConfigError);
  for (const error of [errorOf({ payloadKeys }), inspect(thrownBy(asClient))]) {
    expect(error).toMatch(/payloadKeys/);
    expect(error).not.toContain(KEY.slice(3, 20));
  }
});

test('a port turns metrics on, from the file or the variable; they listen on this machine by default', () => {
  expect(loadConfig({ path: file({}), env: {} }).metrics).toBeUndefined();
  expect(loadConfig({ path: file({}), env: { TRIGGERS_METRICS_HOST: '0.0.0.0' } }).metrics).toBeUndefined();
  const local = { port: 9464, host: '127.0.0.1', jobs: 100 };
  expect(loadConfig({ path: file({ metrics: { port: 9464 } }), env: {} }).metrics).toEqual(local);
  expect(loadConfig({ path: file({}), env: { TRIGGERS_METRICS_PORT: '9464' } }).metrics).toEqual(local);
  const env = { TRIGGERS_METRICS_PORT: '9000', TRIGGERS_METRICS_HOST: '0.0.0.0' };
  expect(loadConfig({ path: file({ metrics: { port: 9464, jobs: 5 } }), env }).metrics).toEqual({
    port: 9000,
    host: '0.0.0.0',
    jobs: 5,
  });
  expect(() => loadConfig({ path: file({}), env: { TRIGGERS_METRICS_PORT: 'many' } })).toThrow(/at metrics\.port/);
});

test('an endpoint turns traces on, from the file or OpenTelemetry’s variables, as a whole or a base URL', () => {
  expect(loadConfig({ path: file({}), env: {} }).tracing).toBeUndefined();
  expect(loadConfig({ path: file({}), env: { TRIGGERS_TRACING_SAMPLE_RATIO: '0.5' } }).tracing).toBeUndefined();
  const endpoint = 'https://collector.example.com/v1/traces';
  const all = { endpoint, headers: {}, sampleRatio: 1, sendTraceparent: false };
  expect(loadConfig({ path: file({ tracing: { endpoint } }), env: {} }).tracing).toEqual(all);
  for (const env of [
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint },
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.com' },
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.com/' },
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_ENDPOINT: 'https://other.example.com' },
  ])
    expect(loadConfig({ path: file({}), env }).tracing).toEqual(all);
  const tracing = { headers: { 'x-api-key': '${env:KEY}' }, sampleRatio: 0.5, sendTraceparent: true };
  const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint, TRIGGERS_TRACING_SAMPLE_RATIO: '0.01', KEY: 'k3y' };
  expect(loadConfig({ path: file({ tracing }), env }).tracing).toEqual({
    endpoint,
    headers: { 'x-api-key': 'k3y' },
    sampleRatio: 0.01,
    sendTraceparent: true,
  });
});

test.each([
  ['no endpoint', {}, /OTEL_EXPORTER_OTLP_ENDPOINT.*at tracing\.endpoint/s],
  ['another kind of URL', { endpoint: 'grpc://collector:4317' }, /at tracing\.endpoint/],
  [
    'credentials in the URL',
    { endpoint: 'https://me:s3cret@collector/v1/traces' },
    /credentials.*at tracing\.endpoint/s,
  ],
  ['a header of the connection', { endpoint: 'http://c/', headers: { host: 's3cret' } }, /at tracing\.headers\.host/],
  ['a share above 1', { endpoint: 'http://c/', sampleRatio: 1.5 }, /at tracing\.sampleRatio/],
])('[S22] traces with %s are refused, and no secret is repeated', (_, tracing, words) => {
  const error = errorOf({ tracing });
  expect(error).toMatch(words);
  expect(error).not.toContain('s3cret');
});

test('[S22] credentials in the URL of the alert webhook are refused with a hint at the right way, and not repeated', () => {
  const error = errorOf({ alerts: { url: 'https://me:s3cret@alerts.example.com/hook' } });
  expect(error).toMatch(/Name one of "authorizations".*at alerts\.url/s);
  expect(error).not.toContain('s3cret');
});

test('the deployment comes from the file, overridden by the environment', () => {
  const path = file({ deployment: { name: 'crm', buildId: '1' } });
  expect(loadConfig({ path, env: {} }).deployment).toEqual({ name: 'crm', buildId: '1' });
  expect(loadConfig({ path, env: { TRIGGERS_BUILD_ID: '2' } }).deployment).toEqual({ name: 'crm', buildId: '2' });
  const env = { TRIGGERS_DEPLOYMENT_NAME: 'erp' };
  expect(loadConfig({ path: file({}), env }).deployment).toEqual({ name: 'erp' });
});

test('a deployment that Temporal would not accept is refused, and so is a build id without a name', () => {
  expect(errorOf({ deployment: { name: 'crm.eu' } })).toContain('A deployment name must');
  expect(errorOf({ deployment: { name: 'crm', buildId: 'a:b' } })).toContain('A build id must');
  expect(errorOf({}, { TRIGGERS_BUILD_ID: '1' })).toContain('deployment.name');
});

test.each([
  ['TRIGGERS_PAYLOADKEYS', 'TRIGGERS_PAYLOAD_KEYS'],
  ['TRIGGER_SOURCE', 'TRIGGERS_SOURCE'],
  ['triggers_source', 'TRIGGERS_SOURCE'],
])('the variable %s is refused by whatever reads configuration, and %s is named', (name, right) => {
  const env = { [name]: 'x', TRIGGERS_CONFIG: file({}) };
  for (const read of [
    () => loadConfig({ env }),
    () => configReader({ env })(),
    () => configuredTaskQueue(env),
    () => configuredPayloadKeys(env),
  ])
    expect(read).toThrow(new ConfigError(`There is no variable ${name}. Did you mean ${right}? Correct or unset it.`));
});

test('a misspelt port is not taken for a variable of Kubernetes, whose ports are URLs', () => {
  expect(() => loadConfig({ env: { TRIGGERS_CONFIG: file({}), TRIGGERS_METRIC_PORT: '9464' } })).toThrow(
    'Did you mean TRIGGERS_METRICS_PORT?',
  );
});

test('an unknown variable of ours is refused with the list of all; those of other programs are not', () => {
  const TRIGGERS_CONFIG = file({});
  expect(() => loadConfig({ env: { TRIGGERS_CONFIG, TRIGGERS_QWERTZUIOP: '1' } })).toThrow(
    /The variables are .*, TRIGGERS_SOURCE,/,
  );
  const others = {
    TRIGGERS_SERVICE_HOST: '10.0.0.1',
    TRIGGERS_SERVICE_PORT_GRPC: '7233',
    TRIGGERS_WEB_PORT: 'tcp://10.0.0.1:80',
    TRIGGERS_PORT_7233_TCP_ADDR: '10.0.0.1',
    TRIGGER_WARNING: '1',
    SOURCE: 'x',
  };
  expect(loadConfig({ env: { TRIGGERS_CONFIG, ...others } }).taskQueue).toBe('audience-triggers');
});

test('a client whose file has a misspelt key does not go on without it: it would encrypt nothing', () => {
  const TRIGGERS_CONFIG = file({ payloadKey: [KEY] });
  for (const read of [configuredPayloadKeys, configuredTaskQueue])
    expect(() => read({ TRIGGERS_CONFIG })).toThrow(/There is no setting "payloadKey"\. Did you mean "payloadKeys"\?/);
});

test('numbers in variables are written with digits', () => {
  for (const TRIGGERS_METRICS_PORT of ['0x10', '1e3', ' 80', '-1', 'tcp://10.0.0.1:80'])
    expect(errorOf({}, { TRIGGERS_METRICS_PORT })).toMatch(/at metrics\.port/);
  expect(errorOf({ tracing: { endpoint: 'https://a.example' } }, { TRIGGERS_TRACING_SAMPLE_RATIO: '10' })).toMatch(
    /a share between 0 and 1/,
  );
});

test('a time written with its unit is refused with a hint at milliseconds, together with all other mistakes', () => {
  const said = errorOf({ requestTimeoutMs: '15s', maxConcurrentSlices: 0, logLevel: 'loud', alerts: { backlog: 3 } });
  expect(said).toMatch(
    /This must be in milliseconds, from 100 to 60000: 10 seconds are 10000\.\s+→ at requestTimeoutMs/,
  );
  for (const setting of ['maxConcurrentSlices', 'logLevel', '"backlog"']) expect(said).toContain(setting);
});
