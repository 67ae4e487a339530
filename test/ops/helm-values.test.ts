import { expect } from '@jest/globals';
import { portsIn } from '../../src/network/network-policy.ts';
import { refusal, testWithHelm } from '../support/helm.ts';
import { CRM, INGRESS, KEYS, LEAST, LEAST_CONFIG, SECRET, TO_DATABASE } from './chart-values.ts';

const withConfig = (config: object, more: object = {}) => ({
  ...LEAST,
  ...more,
  config: { ...LEAST_CONFIG, ...config },
});
const withWorker = (worker: object) => ({ ...LEAST, worker: { ...(LEAST['worker'] as object), ...worker } });
const withBuilds = (builds: readonly object[], more: object = {}) =>
  withWorker({ versioning: { deploymentName: 'a', builds }, ...more });
const withCrm = (part: object, more?: object) => withConfig({ authorizations: { crm: { ...CRM, ...part } } }, more);
const withIngest = (part: object, more?: object) =>
  withConfig({ ingests: { crm: { preset: 'segment', ...part } } }, more);
const withUrl = (url: string, part: 'outbox' | 'alerts' | 'deliveryLog' = 'alerts') => withConfig({ [part]: { url } });
const secretsOf = (name: string) => ({ secrets: { env: { [name]: SECRET } } });
const OF_A = secretsOf('A');
const OAUTH = { tokenUrl: 'https://crm.example.com/token', clientId: 'a', clientSecret: '${env:A}' };
const PEM = '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n';
const DIGEST = `sha256:${'0'.repeat(64)}`;
const SERVICE = { kind: 'http', audiences: [{ id: 'a', slug: 'a' }], members: { url: '/a?after={cursor}' } };
const DATABASE = { url: 'postgres://a@db/a' };
const SCALED = { autoscaling: { enabled: true } };
const TEMPORAL = { address: 'temporal:7233' };
const CANARY_OF_INGEST = { name: 'a', value: 'canary' };
const NEEDS_ONE = /build 1 needs the tag of its image or the digest/;

testWithHelm.each<[what: string, values: object, says: RegExp]>([
  ['nothing at all', {}, /temporal\/address/],
  ['a setting that is misspelt', { ...LEAST, workers: {} }, /'workers' not allowed/],
  ['one of triggers.config.json', withConfig({ taskQeue: 'x' }), /'taskQeue' not allowed/],
  ['a timeout that the program does not take', withConfig({ requestTimeoutMs: 600_000 }), /requestTimeoutMs.*\n?.*got/],
  ['a task queue without a name', withConfig({ taskQueue: '' }), /taskQueue.*\n?.*(?:got|does not match|anyOf)/],
  ['a secret that an ingest is shown as a header', withIngest({ header: CANARY_OF_INGEST }), /header\/value/],
  ['a secret that an ingest is shown as a parameter', withIngest({ parameter: CANARY_OF_INGEST }), /parameter\/value/],
  ['the secret of an ingest', withIngest({ signature: { secret: 'canary-of-24-characters-' } }), /secret/],
  ['the password of an ingest', withIngest({ basic: { username: 'a', password: 'canary-canary-canary' } }), /password/],
  ['an address without a port', { ...LEAST, temporal: { address: 'temporal' } }, /temporal\/address/],
  ['no source', { ...LEAST, config: {} }, /config\.source: a worker needs/],
  ['a folder without its volume', { ...LEAST, worker: {} }, /worker\.data\.volume/],
  ['a folder that is nowhere', withConfig({ source: { kind: 'file', folder: 'data' } }), /nowhere in the pod/],
  ['a secret written out', withCrm({ bearer: 'tok-canary' }), /bearer/],
  [
    'a private key that is written out beside its certificate',
    withCrm({ clientCertificate: { certificate: PEM, key: '${env:A}' } }, OF_A),
    /config: a private key is written out/,
  ],
  [
    'a private key that is written out beside an authority',
    withConfig({ network: { certificateAuthorities: [PEM] } }),
    /config: a private key is written out/,
  ],
  [
    'an API key in place of its hash',
    withConfig({ apiKeys: { ops: { hash: 'trg_canary', may: ['read'] } } }, { api: { enabled: true } }),
    /hash/,
  ],
  ['a secret among headers, whatever its name', withCrm({ headers: { 'x-pin': 'canary' } }), /headers\/x-pin/],
  ['a secret among parameters', withCrm({ queryParameters: { 'x-pin': 'canary' } }), /queryParameters\/x-pin/],
  [
    'a secret among the parameters of a token request, by its name',
    withCrm({ oauth2: { ...OAUTH, parameters: { password: 'canary' } } }, OF_A),
    /parameters\/password/,
  ],
  ['a secret before a reference', withCrm({ bearer: 'canary ${env:A}' }), /bearer/],
  [
    'a password in a URL',
    withConfig({ source: { kind: 'postgres', url: 'postgres://a:canary@db/a' } }),
    /config\/source/,
  ],
  ['a secret of a database, as a parameter', withUrl('postgres://a@db/a?password=canary', 'outbox'), /outbox\/url/],
  ['a secret that begins with a $', withUrl('postgres://a:$canary@db/a', 'outbox'), /outbox\/url/],
  ['a parameter that begins with a $', withUrl('postgres://a@db/a?password=$canary', 'outbox'), /outbox\/url/],
  ['a secret behind the host of a chat', withUrl('https://chat.example/services/T0/canary'), /alerts\/url/],
  ['a secret behind a reference', withUrl('https://chat.example/${env:A}/canary'), /alerts\/url/],
  ['a secret after a reference', withUrl('https://chat.example/${env:A}?key=${env:A}canary'), /alerts\/url/],
  ['a secret as the query of a chat', withUrl('https://chat.example?canary'), /alerts\/url/],
  ['a secret in an origin', withCrm({ origins: ['https://a:canary@crm.example'] }), /origins\/0/],
  ['a secret of a proxy', withConfig({ network: { proxy: 'http://a:canary@proxy:3128' } }), /network\/proxy/],
  [
    'a secret in where the Temporal UI is',
    { ...LEAST, codecServer: { uiOrigins: ['https://a:b@ui.example'] } },
    /uiOrigins/,
  ],
  ['a variable that has no Secret', withCrm({ bearer: '${env:CRM}' }), /\$\{env:CRM\}, which is not in secrets\.env/],
  ['a Secret that nothing refers to', { ...LEAST, ...secretsOf('CRM') }, /secrets\.env\.CRM: nothing/],
  [
    'a Secret that stands only behind a doubled $',
    withConfig({ taskQueue: '$${env:CRM}' }, secretsOf('CRM')),
    /secrets\.env\.CRM: nothing/,
  ],
  ['a variable of ours as a secret', { ...LEAST, ...secretsOf('TRIGGERS_SOURCE') }, /secrets\/env\/TRIGGERS_SOURCE/],
  ['a secret without its key', { ...LEAST, payloadKeys: { secret: 'keys', key: '' } }, /payloadKeys/],
  ['a file that is nowhere', withCrm({ bearer: '${file:/run/secrets/crm}' }), /nowhere in the pod/],
  [
    'a file of a Secret that is not named',
    withCrm({ bearer: '${file:/secrets/crm/token}' }),
    /secrets\.files does not name the Secret crm/,
  ],
  ['files that nothing refers to', { ...LEAST, secrets: { files: ['crm'] } }, /secrets\.files: nothing/],
  [
    'payload keys at two places',
    withConfig({ payloadKeys: ['a:${env:K}'] }, { payloadKeys: SECRET, ...secretsOf('K') }),
    /payloadKeys/,
  ],
  ['an API without keys', { ...LEAST, api: { enabled: true } }, /config\.apiKeys/],
  [
    'a Temporal UI with a question',
    withConfig(KEYS, { api: { enabled: true, temporalUi: 'https://ui.example.com/?a=b' } }),
    /temporalUi/,
  ],
  ['a way to an API that is not there', { ...withConfig(KEYS), api: { ingress: INGRESS } }, /api\.ingress\.enabled/],
  [
    'a way without TLS',
    withConfig(KEYS, { api: { enabled: true, ingress: { ...INGRESS, tlsSecret: '' } } }),
    /tlsSecret/,
  ],
  [
    'a codec server without a token',
    { ...LEAST, payloadKeys: SECRET, codecServer: { enabled: true, uiOrigins: ['https://a.example'] } },
    /codecServer\/token/,
  ],
  [
    'a consumer that may go nowhere',
    withConfig({ outbox: DATABASE }, { consumers: { outbox: { enabled: true } } }),
    /networkPolicy\.egress\.outbox/,
  ],
  [
    'a source that no policy lets through',
    withConfig({ source: { kind: 'postgres', ...DATABASE } }),
    /networkPolicy\.egress\.worker/,
  ],
  [
    'a delivery log that no policy lets workers through to',
    withConfig({ deliveryLog: DATABASE }),
    /networkPolicy\.egress\.worker: .* config\.deliveryLog/,
  ],
  [
    'a delivery log that no policy lets the API through to',
    withConfig(
      { ...KEYS, deliveryLog: DATABASE },
      { api: { enabled: true }, networkPolicy: { egress: { worker: TO_DATABASE } } },
    ),
    /networkPolicy\.egress\.api/,
  ],
  ...[{ folder: '/data/log' }, { retentionDays: 3 }].map((deliveryLog): [string, object, RegExp] => [
    `a delivery log with ${Object.keys(deliveryLog)[0] as string} and no place`,
    withConfig({ deliveryLog }),
    /config\.deliveryLog: it needs a url/,
  ]),
  ...['http://people', 'http://people.shop.svc:8080', 'http://people.shop.svc.cluster.local', 'http://10.1.2.3/a'].map(
    (url): [string, object, RegExp] => [
      `a private source at ${url} that no policy lets through`,
      withConfig({ source: { ...SERVICE, url } }),
      /networkPolicy\.egress\.worker: .* config\.source/,
    ],
  ),
  ['a name that no Service may have', { ...LEAST, fullnameOverride: '1st' }, /begins with a letter/],
  ['a name that is too long for a label', { ...LEAST, nameOverride: 'a'.repeat(64) }, /nameOverride/],
  [
    'a proxy that no policy lets through',
    withConfig({ network: { proxy: 'http://proxy:3128' } }),
    /config\.network\.proxy/,
  ],
  ['replicas and a scale', withWorker({ replicas: 2, ...SCALED }), /worker\.replicas: with autoscaling/],
  [
    'a scale upside down',
    withWorker({ autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 2 } }),
    /minReplicas is more/,
  ],
  [
    'a scale by a Temporal with TLS, and nothing that makes KEDA use TLS',
    { ...withWorker(SCALED), temporal: { ...TEMPORAL, tls: { enabled: true, certificateAuthority: { secret: 'a' } } } },
    /worker\.autoscaling\.authenticationRef: KEDA speaks TLS/,
  ],
  [
    'a scale by a Temporal that KEDA looks up in its own namespace',
    { ...withWorker(SCALED), temporal: TEMPORAL },
    /temporal\.address: KEDA looks temporal:7233 up/,
  ],
  [
    'a tag beside a digest, which alone would count,',
    { ...LEAST, image: { tag: '1.2.3', digest: DIGEST } },
    /image: with a digest, the tag 1\.2\.3 would not be used/,
  ],
  ['a build with a tag and a digest', withBuilds([{ id: '1', tag: 'a', digest: DIGEST }]), NEEDS_ONE],
  ['a build with an empty tag', withBuilds([{ id: '1', tag: '' }]), NEEDS_ONE],
  ['builds without a name', withWorker({ versioning: { builds: [{ id: '1', tag: 'a' }] } }), /deploymentName/],
  ['replicas of a build and a scale', withBuilds([{ id: '1', tag: 'a', replicas: 2 }], SCALED), /build 1 has replicas/],
  ['two builds of one name', withBuilds(['1.0', '1-0'].map((id) => ({ id, tag: 'a' }))), /two builds/],
  [
    'a build that is called as workers of none are',
    withWorker({ versioning: { deploymentName: 'a', builds: [{ id: 'unversioned', tag: 'a' }], unversioned: true } }),
    /two builds/,
  ],
  ['a deployment in the file', withConfig({ deployment: { name: 'a' } }), /'deployment' not allowed/],
  [
    'a certificate without TLS',
    { ...LEAST, temporal: { ...TEMPORAL, tls: { certificateAuthority: { secret: 'a' } } } },
    /temporal\/tls/,
  ],
  ['a budget that lets none go', withWorker({ podDisruptionBudget: { maxUnavailable: 0 } }), /maxUnavailable/],
  ['a port that there is not', { ...LEAST, temporal: { address: 'temporal:99999' } }, /temporal\.address/],
  ['an API key in the clear', { ...LEAST, temporal: { ...TEMPORAL, apiKey: SECRET } }, /over TLS only/],
  ['a network that is none', withConfig({ network: { allowAddresses: ['10.0.0.0/99'] } }), /allowAddresses\/0/],
  ['a part that is taken away', { ...LEAST, api: null }, /missing property 'api'/],
  ...[512, '512', '512K', '1.5.2Gi', '.Gi'].map((memory): [string, object, RegExp] => [
    `${JSON.stringify(memory)} as memory`,
    withWorker({ resources: { limits: { memory } } }),
    /limits\/memory/,
  ]),
  ['less than no processor', withWorker({ resources: { limits: { cpu: -1 } } }), /limits\/cpu/],
  ['a folder of watches that workers cannot share', withWorker({ watch: { volume: { emptyDir: {} } } }), /emptyDir/],
  ['an image with a scheme', { ...LEAST, image: { repository: 'https://a.example/a' } }, /image\/repository/],
  ['a label that selectors are made of', { ...LEAST, podLabels: { 'app.kubernetes.io/name': 'a' } }, /podLabels/],
  ['root as the user', { ...LEAST, runAsUser: 0 }, /runAsUser/],
])('%s is refused, and said in words', (_, values, says) => {
  const said = refusal(values);
  expect(said).toMatch(says);
  expect(said).not.toMatch(/canary/);
});

testWithHelm.each(['443', '65535', '65536', '8000-8099', '8000-8000', '8000-7000', '1-65536', '80 - 90', '80-', '0'])(
  'the chart accepts the port %s for webhooks as the program does, but never port 0, which Kubernetes lacks',
  (port) => {
    const isTaken = portsIn(port) !== undefined && port !== '0';
    const said = refusal(withConfig({ network: { allowPorts: [port] } }));
    expect(said).toMatch(isTaken ? /^$/ : /config.network.allowPorts/);
  },
);

testWithHelm('the chart accepts values that are close to refused ones', () => {
  const elsewhere = { address: 'temporal.example.com:7233' };
  const tls = { enabled: true };
  for (const values of [
    LEAST,
    withWorker(SCALED),
    { ...withWorker(SCALED), temporal: { ...elsewhere, tls: { enabled: true, clientCertificate: { secret: 'a' } } } },
    { ...withWorker(SCALED), temporal: { ...elsewhere, tls, apiKey: SECRET } },
    { ...withWorker({ autoscaling: { enabled: true, authenticationRef: 'a' } }), temporal: { ...elsewhere, tls } },
    withWorker({ replicas: 1 }),
    { ...LEAST, image: { digest: DIGEST } },
    withBuilds([{ id: '1', tag: '', digest: DIGEST }]),
    ...[0, 100].map((lagMs) => withConfig({ source: { kind: 'file', folder: '/data', lagMs } })),
    withConfig({ requestTimeoutMs: 100, taskQueue: 'a b', metrics: { jobs: 0 }, alerts: { backlogMinutes: 1.5 } }),
    { ...withConfig({}), worker: { enabled: false } },
    withConfig(KEYS, { api: { enabled: true, ingress: INGRESS } }),
    withConfig({ source: { kind: 'postgres', ...DATABASE } }, { networkPolicy: { enabled: false } }),
    withCrm({ queryParameters: { code: '${env:CRM}' }, bearer: '${env:CRM}' }, secretsOf('CRM')),
    ...['', 'Basic ', 'Bearer ', 'bearer ', 'Token ', 'ApiKey '].map((scheme) =>
      withCrm({ headers: { 'x-api-key': `${scheme}\${env:A}` } }, OF_A),
    ),
    withIngest({ header: { name: 'authorization', value: ['Bearer ${env:A}'] } }, OF_A),
    withConfig({ payloadKeys: ['2026-11:${env:A}'] }, OF_A),
    withCrm({ oauth2: { ...OAUTH, parameters: { audience: 'a', password: '${env:A}' } } }, OF_A),
    withUrl('https://alerts.example'),
    ...['', 'https://chat.example/', 'https://chat.example:8443/services/'].map((before) =>
      withConfig({ alerts: { url: `${before}\${env:A}` } }, OF_A),
    ),
    withConfig(
      {
        source: {
          ...SERVICE,
          url: 'https://a.example',
          headers: { 'x-api-version': '2' },
          members: { url: '/a?page_token={cursor}&key=${env:A}' },
        },
      },
      OF_A,
    ),
    ...['https://people.example.com', 'https://11.1.2.3', 'https://svc.example.com'].map((url) =>
      withConfig({ source: { ...SERVICE, url } }),
    ),
    ...['512000k', '0.5Gi', '1G'].map((memory) => withWorker({ resources: { limits: { cpu: 0.5, memory } } })),
    withWorker({ resources: { limits: { memory: '1Gi', 'ephemeral-storage': '1Gi', 'example.com/cards': 1 } } }),
    { ...LEAST, runAsUser: null },
    // It unpacks, too.
    { ...LEAST, codecServer: { enabled: true, token: SECRET, uiOrigins: ['https://a.example'] } },
  ])
    expect(refusal(values)).toBe('');
});
