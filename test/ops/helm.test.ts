import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { createProgram } from '../../src/app/program.ts';
import { loadConfig } from '../../src/app/config.ts';
import { VARIABLES } from '../../src/config/problems.ts';
import { isRecord } from '../../src/domain/json.ts';
import { isPublicAddress } from '../../src/network/network-policy.ts';
import { release } from '../../src/config/release.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { CHART, helm, rendered, testWithHelm } from '../support/helm.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { CRM, EXAMPLES_FOLDER as folder, KEYS, TO_DATABASE } from './chart-values.ts';
import { chartConfigSchema } from './helm-config-schema.ts';
import { problemsOf } from './kubernetes-schemas.ts';
import { chartOf, type Container, podsOf, withFakeSecrets } from './rendered-chart.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');
const EXAMPLES = readdirSync(folder).map((name) => [name, `${folder}/${name}`] as const);
const defaults = parse(readFileSync(`${CHART}/values.yaml`, 'utf8')) as Record<string, unknown>;
const schemaFile = `${CHART}/values.schema.json`;
const schema = JSON.parse(readFileSync(schemaFile, 'utf8')) as { properties: Record<string, unknown> };

test('the chart is of this release, and runs the image of docker-compose.yml', () => {
  const chart = parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8')) as Record<string, unknown>;
  expect(chart['appVersion']).toBe(release());
  const compose = parse(read('docker-compose.yml')) as { services: { worker: { image: string } } };
  expect(defaults).toHaveProperty('image.repository', compose.services.worker.image);
});

test('the schema of values takes the same triggers.config.json as the program', () => {
  const config: unknown = JSON.parse(JSON.stringify(chartConfigSchema()));
  const written = { ...schema, properties: { ...schema.properties, config } };
  if (process.env['WRITE_CHART_SCHEMA'] !== undefined) writeFileSync(schemaFile, JSON.stringify(written, null, 2));
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(written);
});

/** What is taken as Kubernetes, or the program, has it. */
const WHOLE = /^config$|\.(?:resources|volume)$/;

/** Paths of all settings of the chart itself, by the defaults, or by the schema. */
function pathsOf(value: unknown, path = ''): string[] {
  if (!isRecord(value) || Object.keys(value).length === 0 || WHOLE.test(path)) return [path];
  return Object.entries(value).flatMap(([key, one]) => pathsOf(one, path === '' ? key : `${path}.${key}`));
}

function schemaPathsOf(value: unknown, path = ''): string[] {
  const properties = isRecord(value) && !WHOLE.test(path) ? value['properties'] : undefined;
  if (!isRecord(properties)) return [path];
  return Object.entries(properties).flatMap(([key, one]) =>
    schemaPathsOf(resolved(one), path === '' ? key : `${path}.${key}`),
  );
}

function resolved(value: unknown): unknown {
  const { definitions } = schema as unknown as { definitions: Record<string, unknown> }; // It has some.
  const name = isRecord(value) && typeof value['$ref'] === 'string' ? value['$ref'].split('/').at(-1) : undefined;
  return name === undefined ? value : definitions[name];
}

test('values.yaml has a default for every setting that the schema knows, and for no other', () => {
  // Helm itself gives "global" to every chart.
  const known = schemaPathsOf(schema).filter((path) => path !== 'global');
  expect(pathsOf(defaults).sort()).toEqual(known.sort());
});

testWithHelm.each(EXAMPLES)('%s passes the linter of Helm', (_, file) => {
  expect(helm(['lint', '--strict', CHART, '--values', file])).toContain('0 chart(s) failed');
});

testWithHelm.each(EXAMPLES)(
  'Kubernetes accepts the manifests that the chart makes of %s, and knows each of their fields',
  (_, file) => {
    const manifests = rendered([file]);
    expect(manifests.length).toBeGreaterThan(5);
    for (const manifest of manifests) expect([manifest.kind, problemsOf(manifest)]).toEqual([manifest.kind, []]);
    // And mistakes are seen.
    const [pod] = manifests.filter(({ kind }) => kind === 'Deployment');
    expect(problemsOf({ ...pod, spec: { replica: 2 } })).not.toEqual([]);
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { metadata } of manifests) expect(metadata.name.length).toBeLessThanOrEqual(63);
  },
);

testWithHelm.each(EXAMPLES)(
  'every variable that %s sets is one that the program reads, or that its configuration refers to',
  (_, file) => {
    const temporal = readFileSync(
      fileURLToPath(import.meta.resolve('@temporalio/envconfig')).replace(/index\.js$/, 'envconfig-toml.js'),
      'utf8',
    );
    const { pods, config } = chartOf(rendered([file]));
    const referred = new Set(Array.from(JSON.stringify(config).matchAll(/\$\{env:(\w+)\}/g), ([, name = '']) => name));
    for (const { container } of pods) {
      const names = container.env.map(({ name }) => name);
      const isRead = (name: string) =>
        (VARIABLES as readonly string[]).includes(name) || temporal.includes(`'${name}'`) || referred.has(name);
      expect(names.filter((name) => !isRead(name))).toEqual([]);
      expect(new Set(names).size).toBe(names.length);
      // The codec server has the keys, and nothing to do with Temporal.
      expect(names.includes('TEMPORAL_ADDRESS')).toBe(container.args[0] !== 'codec-server');
    }
  },
);

testWithHelm.each(EXAMPLES)('every command that %s runs is there, with its options', async (_, file) => {
  const { pods } = chartOf(rendered([file]));
  for (const { container } of pods) {
    const { terminal, err } = aTerminal();
    const program = createProgram(terminal);
    for (const command of withParts(program)) if (command.commands.length === 0) command.action(() => undefined);
    await program.parseAsync(container.args, { from: 'user' });
    expect([container.args, err]).toEqual([container.args, []]);
  }
});

testWithHelm.each([
  [
    'where values say where that is',
    { temporalUi: 'https://ui.example.com/temporal' },
    'https://ui.example.com/temporal',
  ],
  ['and by default nowhere', {}, undefined],
])('the console links to the Temporal UI %s', async (_, api, url) => {
  const { pods } = chartOf(rendered([`${folder}/small.yaml`], { config: KEYS, api: { enabled: true, ...api } }));
  const { args = [] } = pods.find(({ component }) => component === 'api')?.container ?? {};
  const program = createProgram(aTerminal().terminal);
  const command = program.commands.find((one) => one.name() === 'api')?.action(() => undefined);
  await program.parseAsync(args, { from: 'user' });
  expect(command?.opts()).toMatchObject({ host: '0.0.0.0', port: 7280 });
  expect(command?.opts()['temporalUi']).toBe(url);
});

testWithHelm.each(EXAMPLES)(
  'the configuration that %s mounts is one that the program takes, from where it is told to look',
  (_, file) => {
    const { pods, config } = chartOf(rendered([file]));
    const { path, env } = withFakeSecrets(config);
    for (const { container } of pods.filter(({ component }) => component !== 'setup')) {
      const [mounted, name] = [container.volumeMounts.find(({ name }) => name === 'config'), 'triggers.config.json'];
      expect(container.env).toContainEqual({ name: 'TRIGGERS_CONFIG', value: `${mounted?.mountPath}/${name}` });
    }
    const worker = pods.find(({ component }) => component === 'worker')?.container.env ?? [];
    const plain = worker.flatMap(({ name, value }) =>
      value === undefined || !name.startsWith('TRIGGERS_') ? [] : [[name, value]],
    );
    const loaded = loadConfig({ path, env: { ...env, ...Object.fromEntries(plain) } });
    expect(loaded).toMatchObject({ metrics: { port: 9464, host: '0.0.0.0' }, source: { kind: expect.any(String) } });
  },
);

testWithHelm.each(EXAMPLES)(
  'a port of %s is the same for the program, its probes, its service and its policy',
  (_, file) => {
    const manifests = rendered([file]);
    const { pods } = chartOf(manifests);
    for (const { component, container } of pods.filter(({ component }) => component !== 'setup')) {
      const [port] = container.ports ?? [];
      const said =
        component === 'worker'
          ? container.env.find(({ name }) => name === 'TRIGGERS_METRICS_PORT')?.value
          : container.args[container.args.indexOf('--port') + 1];
      expect(String(port?.containerPort)).toBe(said);
      for (const probe of [container.startupProbe, container.livenessProbe])
        expect(probe?.httpGet).toEqual({ path: '/healthz', port: port?.name });
      expect(container.readinessProbe?.httpGet).toEqual({ path: '/readyz', port: port?.name });
      const ofIt = (kind: string) =>
        manifests.filter(
          (one) => one.kind === kind && one.metadata.labels['app.kubernetes.io/component'] === component,
        );
      for (const service of ofIt('Service'))
        expect(service).toMatchObject({ spec: { ports: [{ targetPort: port?.name }] } });
      for (const policy of ofIt('NetworkPolicy'))
        expect(policy).toMatchObject({
          spec: { ingress: [{ ports: [{ protocol: 'TCP', port: port?.containerPort }] }] },
        });
    }
  },
);

testWithHelm.each(EXAMPLES)('every pod of %s is given nothing that it does not need', (_, file) => {
  const manifests = rendered([file]);
  for (const { spec, container, component } of chartOf(manifests).pods) {
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container).toHaveProperty('resources.limits.memory');
    // What is read from one part of the configuration alone needs the secrets of that part alone.
    if (component === 'api') expect(container.env.map(({ name }) => name)).not.toContain('PEOPLE_PASSWORD');
    for (const { name, value } of container.env)
      if (/KEY|TOKEN|PASSWORD|SECRET/.test(name) && !name.endsWith('_PATH'))
        expect([name, value]).toEqual([name, undefined]);
  }
  expect(manifests.filter(({ kind }) => kind === 'Secret')).toEqual([]);
});

/** What Helm says after an installation of `triggers`: shown as a manifest, since it prints no notes without a cluster. */
function notes(file: string, values: object = {}): string {
  const chart = tempFolder();
  cpSync(CHART, chart, { recursive: true });
  writeFileSync(
    join(chart, 'templates/notes.yaml'),
    'notes: {{ include "audience-triggers/templates/NOTES.txt" . | quote }}',
  );
  const command = ['template', 'triggers', chart, '--namespace', 'shop', '--values', file];
  const text = helm([...command, '--show-only', 'templates/notes.yaml'], values);
  return (parse(text) as { notes: string }).notes;
}

testWithHelm('the commands that Helm names after an installation are about its own namespaces', () => {
  const said = notes(`${folder}/builds.yaml`, { temporal: { namespace: 'marketing' }, image: { tag: '9.9.9' } });
  const commands = said.match(/^ {2}(?:kubectl|temporal) .*$/gm) ?? [];
  expect(commands).toHaveLength(4);
  for (const command of commands)
    expect(command).toContain(command.includes('kubectl') ? '--namespace shop ' : '--namespace marketing ');
  // Images say which release runs.
  expect(said).toContain('The chart audience-triggers');
});

testWithHelm('Helm says which task queue the workers share with any other release', () => {
  expect(notes(`${folder}/small.yaml`)).toContain('task queue audience-triggers in the namespace default of Temporal');
  const values = { temporal: { namespace: 'eu' }, config: { taskQueue: 'loyalty' } };
  expect(notes(`${folder}/small.yaml`, values)).toContain('task queue loyalty in the namespace eu of Temporal');
  expect(notes(`${folder}/small.yaml`, { worker: { enabled: false } })).not.toContain('task queue');
});

/** As PodSecurity's level "restricted" has it; the rest of it is in the test above. */
const RESTRICTED_VOLUMES = [
  'configMap',
  'csi',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

testWithHelm.each(EXAMPLES)('a namespace that is restricted takes the volumes of %s', (_, file) => {
  for (const { spec } of chartOf(rendered([file])).pods) {
    const { volumes = [] } = spec as { volumes?: readonly object[] };
    const kinds = volumes.flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name'));
    expect(kinds.filter((kind) => !RESTRICTED_VOLUMES.includes(kind))).toEqual([]);
  }
});

testWithHelm('names that look like numbers or truths stay texts, and a large number stays a number', () => {
  const secret = { secret: '1', key: 'true' };
  const ingress = { enabled: true, className: 'true', host: 'a.example.com', tlsSecret: '1' };
  const manifests = rendered([`${folder}/small.yaml`], {
    nameOverride: '1',
    fullnameOverride: 'no',
    priorityClassName: '1',
    serviceAccount: { name: '1' },
    image: { repository: '1', tag: '20', pullSecrets: ['1'] },
    worker: { autoscaling: { enabled: true, targetQueueSize: 1_000_000, authenticationRef: '1' } },
    payloadKeys: secret,
    secrets: { env: { A: secret }, files: ['1'] },
    temporal: {
      apiKey: secret,
      tls: { enabled: true, certificateAuthority: secret, clientCertificate: { ...secret, certificate: 'no' } },
    },
    config: {
      ...KEYS,
      authorizations: { crm: { ...CRM, bearer: '${env:A}', signingSecrets: ['${file:/secrets/1/a}'] } },
    },
    api: { enabled: true, ingress },
    codecServer: { enabled: true, token: secret, uiOrigins: ['https://ui.example.com'], ingress },
  });
  expect(manifests.length).toBeGreaterThan(12);
  for (const manifest of manifests) expect([manifest.kind, problemsOf(manifest)]).toEqual([manifest.kind, []]);
});

testWithHelm('a Service is called as Kubernetes allows, whatever the release is called', () => {
  const [service] = rendered([`${folder}/small.yaml`], { fullnameOverride: 'shop.eu' }).filter(
    ({ kind }) => kind === 'Service',
  );
  expect(service?.metadata.name).toBe('shop-eu-worker-metrics');
});

testWithHelm('a name or a label ends with a letter or a digit, wherever it is cut', () => {
  const manifests = rendered([`${folder}/small.yaml`], {
    fullnameOverride: `${'a'.repeat(38)}--b`,
    worker: { versioning: { deploymentName: 'a', builds: [{ id: '1.0++', tag: 'a' }] } },
  });
  const names = manifests.flatMap(({ metadata }) => [metadata.name, ...Object.values(metadata.labels)]);
  expect(names).toEqual(expect.arrayContaining(['a'.repeat(38), '1-0']));
  expect(names.filter((name) => !/[A-Za-z0-9]$/.test(name))).toEqual([]);
});

testWithHelm('the configuration is mounted as it was given, whatever is in its texts', () => {
  const authorization = 'a\u0085kind: | # "\n---\n\u{1F600}';
  // Helm would read that sign in the file of values as a blank, too.
  const values = JSON.stringify({ config: { authorizations: { [authorization]: CRM } } }).replace('\u0085', '\\u0085');
  const file = join(tempFolder(), 'values.json');
  writeFileSync(file, values);
  const { config } = chartOf(rendered([`${folder}/small.yaml`, file]));
  expect(config).toHaveProperty(['authorizations', authorization], CRM);
});

const LOG = { deliveryLog: { url: 'postgres://log@db.example.com/log', password: '${env:LOG}' } };

testWithHelm('workers and the API know the delivery log and reach it, and consumers do not', () => {
  const manifests = rendered([`${folder}/small.yaml`], {
    config: { ...KEYS, ...LOG, outbox: { url: 'postgres://a@db/a' } },
    secrets: { env: { LOG: { secret: 'log', key: 'password' } } },
    api: { enabled: true },
    consumers: { outbox: { enabled: true } },
    networkPolicy: {
      egress: { worker: TO_DATABASE, api: TO_DATABASE, outbox: [{ ports: [{ protocol: 'TCP', port: 6432 }] }] },
    },
  });
  const knows = Object.fromEntries(
    podsOf(manifests).map(({ component, container }) => [component, container.env.some(({ name }) => name === 'LOG')]),
  );
  expect(knows).toEqual({ worker: true, api: true, outbox: false, setup: false });
  const reaches = manifests
    .filter(({ kind, spec }) => kind === 'NetworkPolicy' && JSON.stringify(spec).includes('"port":5432'))
    .map(({ metadata }) => metadata.labels['app.kubernetes.io/component']);
  expect(reaches).toEqual(expect.arrayContaining(['worker', 'api']));
  expect(reaches).toHaveLength(2);
});

testWithHelm('every part that uses names may ask name servers, also those of OpenShift', () => {
  const policies = rendered([`${folder}/production.yaml`]).filter(({ kind }) => kind === 'NetworkPolicy');
  for (const { metadata, spec } of policies) {
    const { egress = [] } = spec as { egress?: readonly Rule[] };
    const ports = [53, 5353].flatMap((port) => [
      { protocol: 'UDP', port },
      { protocol: 'TCP', port },
    ]);
    if (metadata.labels['app.kubernetes.io/component'] === 'codec-server') expect(egress).toEqual([]);
    else expect(egress[0]?.ports).toEqual(expect.arrayContaining(ports));
  }
});

testWithHelm('nothing of the setup stays once it is done, and a quota of the namespace can be met', () => {
  const resources = { limits: { cpu: '1', memory: '300Mi' } };
  const hooks = rendered([`${folder}/small.yaml`], { setup: { resources } }).filter(
    ({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined,
  );
  expect(hooks.map(({ kind }) => kind).sort()).toEqual(['Job', 'NetworkPolicy']);
  for (const { metadata } of hooks)
    expect(metadata.annotations?.['helm.sh/hook-delete-policy']).toBe('before-hook-creation,hook-succeeded');
  expect(podsOf(hooks)[0]?.container).toMatchObject({ resources });
});

testWithHelm('a setup that fails three times says why, and is gone the next day', () => {
  const job = rendered([`${folder}/small.yaml`]).find(({ kind }) => kind === 'Job');
  expect(job).toMatchObject({
    metadata: { annotations: { 'helm.sh/hook-output-log-policy': 'hook-failed' } },
    spec: { ttlSecondsAfterFinished: 86_400, backoffLimit: 2 },
  });
});

testWithHelm('the setup has the service account of the other pods, unless that is only created after it', () => {
  const accounts = (values: object) =>
    podsOf(rendered([`${folder}/small.yaml`], values)).map(({ component, spec }) => [
      component,
      (spec as { serviceAccountName?: string }).serviceAccountName,
    ]);
  expect(Object.fromEntries(accounts({ serviceAccount: { create: false, name: 'a' } }))).toEqual({
    worker: 'a',
    setup: 'a',
  });
  expect(Object.fromEntries(accounts({ serviceAccount: { name: 'a' } }))).toEqual({ worker: 'a', setup: undefined });
});

testWithHelm('the Ingresses of production.yaml let through what the servers behind them take', () => {
  const ingresses = rendered([`${folder}/production.yaml`]).filter(({ kind }) => kind === 'Ingress');
  expect(ingresses).toHaveLength(2);
  // By default nginx takes bodies of 1 MiB.
  for (const { metadata } of ingresses)
    expect(metadata.annotations).toEqual({ 'nginx.ingress.kubernetes.io/proxy-body-size': '0' });
});

testWithHelm('the codec server answers to the names that it is given, besides its Ingress’s host', () => {
  const { pods } = chartOf(
    rendered([`${folder}/production.yaml`], { codecServer: { allowHosts: ['codec.shop.svc'] } }),
  );
  const { args = [] } = pods.find(({ component }) => component === 'codec-server')?.container ?? {};
  expect(args.join(' ')).toContain('--allow-host codec.example.com --allow-host codec.shop.svc');
});

testWithHelm('a pod is given as long to end as the page about operating says, and the user of the image', () => {
  expect(read('docs/operating.md')).toContain('give it 40 s before SIGKILL');
  for (const { spec, component } of chartOf(rendered([`${folder}/production.yaml`])).pods)
    if (component !== 'setup') expect(spec).toMatchObject({ terminationGracePeriodSeconds: 40 });
  // A request may take longer than by default; then its pod may, too.
  const slow = chartOf(rendered([`${folder}/small.yaml`], { config: { requestTimeoutMs: 60_000 } })).pods;
  expect(slow.find(({ component }) => component === 'worker')?.spec).toMatchObject({
    terminationGracePeriodSeconds: 85,
  });
  // The user "node" of Node's images is 1000; Kubernetes has to be told, since it does not look a name up.
  expect(read('Dockerfile')).toMatch(/^USER node$/m);
  expect(read('Dockerfile')).toMatch(/^RUN mkdir \/watch && chown node:node \/watch$/m);
  expect(read('Dockerfile')).toMatch(/^ENTRYPOINT \["node", "lib\/app\/main\.js"\]$/m);
});

testWithHelm('another configuration is another pod, and the same one is not', () => {
  const stamps = (values: object) =>
    chartOf(rendered([`${folder}/production.yaml`], values))
      .pods.filter(({ component }) => component !== 'setup')
      .map(({ annotations }) => annotations['checksum/config']);
  const before = stamps({});
  expect(new Set(before).size).toBe(1);
  expect(stamps({ worker: { podDisruptionBudget: { enabled: false } } })).toEqual(before);
  expect(stamps({ config: { requestTimeoutMs: 10_000 } })).not.toEqual(before);
});

interface Rule {
  readonly ports: readonly object[];
  readonly to?: readonly { readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] } }[];
}

testWithHelm('a webhook reaches no network that the worker would not reach, and those that the operator allows', () => {
  const webhooks = (values: object) => {
    const policy = rendered([`${folder}/small.yaml`], values).find(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name.endsWith('-worker'),
    );
    const { egress = [] } = (policy?.['spec'] ?? {}) as { egress?: readonly Rule[] };
    return egress.find(({ to = [] }) => to.some(({ ipBlock }) => ipBlock?.cidr === '0.0.0.0/0'));
  };
  const { ports, to = [] } = webhooks({}) ?? { ports: [] };
  expect(ports).toEqual([
    { protocol: 'TCP', port: 443 },
    { protocol: 'TCP', port: 80 },
    { protocol: 'TCP', port: 1024, endPort: 65_535 },
  ]);
  const except = to[0]?.ipBlock?.except ?? [];
  for (const network of except)
    expect([network, isPublicAddress(network.replace(/\/\d+$/, '').replace(/0$/, '1'))]).toEqual([network, false]);
  for (const address of [
    '10.0.0.1',
    '169.254.169.254',
    '172.31.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '127.0.0.1',
    '168.63.129.16',
  ])
    expect([address, except.some((network) => holds(network, address))]).toEqual([address, true]);
  expect(to.slice(1)).toEqual([{ ipBlock: { cidr: '2000::/3' } }]);
  const network = { allowAddresses: ['10.20.0.0/16', '10.30.0.7', 'fd00::7'], allowPorts: ['443', '8000-8099'] };
  expect(webhooks({ config: { network } })).toMatchObject({
    ports: [{ port: 443 }, { port: 8000, endPort: 8099 }],
    to: [{}, {}, ...['10.20.0.0/16', '10.30.0.7/32', 'fd00::7/128'].map((cidr) => ({ ipBlock: { cidr } }))],
  });
});

function holds(network: string, address: string): boolean {
  const [base = '', bits] = network.split('/');
  const number = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(base) / size) === Math.floor(number(address) / size);
}

testWithHelm('each build has workers and a scale of its own, and only its own', () => {
  const scaled = rendered([`${folder}/builds.yaml`], {
    worker: {
      versioning: {
        builds: [
          { id: '41', tag: 'a' },
          { id: '42', tag: 'b' },
        ],
        unversioned: true,
      },
      autoscaling: { enabled: true },
    },
  });
  const deployments = scaled.filter(({ kind }) => kind === 'Deployment');
  const versions = deployments.map((one) => podsOf([one]).map(({ container }) => versionOf(container)));
  expect(versions.flat().sort()).toEqual(
    [' a-release-audience-triggers', 'marketing:41 a', 'marketing:42 b']
      .map((text) => text.replace(' a-release-audience-triggers', ` ${release()}`))
      .sort(),
  );
  const selectors = deployments.map(({ spec }) => JSON.stringify((spec as { selector: object }).selector));
  expect(new Set(selectors).size).toBe(3);
  const triggers = scaled
    .filter(({ kind }) => kind === 'ScaledObject')
    .map(({ spec }) => (spec as { triggers: { metadata: object }[] }).triggers[0]?.metadata);
  expect(triggers).toEqual([
    expect.not.objectContaining({ workerDeploymentName: expect.anything() }),
    expect.objectContaining({
      taskQueue: 'marketing',
      workerDeploymentName: 'marketing',
      workerDeploymentBuildId: '41',
    }),
    expect.objectContaining({
      taskQueue: 'marketing',
      workerDeploymentName: 'marketing',
      workerDeploymentBuildId: '42',
    }),
  ]);
});

function withParts(command: CommandUnknownOpts): CommandUnknownOpts[] {
  return [command, ...command.commands.flatMap(withParts)];
}

function versionOf({ env, image }: Container): string {
  const value = (wanted: string) => env.find(({ name }) => name === wanted)?.value;
  const name = value('TRIGGERS_DEPLOYMENT_NAME');
  return `${name === undefined ? '' : `${name}:${value('TRIGGERS_BUILD_ID')}`} ${image.split(':').at(-1)}`;
}

test('docs/kubernetes.md names every example and every part of the values', () => {
  const page = read('docs/kubernetes.md');
  for (const [name] of EXAMPLES) expect(page).toContain(`ops/helm/examples/${name}`);
  // With the release "triggers", the page's own.
  for (const kind of ['api', 'worker'])
    expect(page).toMatch(new RegExp(`(?:service|deploy)/triggers-audience-triggers-${kind}`));
  for (const name of Object.keys(defaults)) expect([name, page.includes(`\`${name}`)]).toEqual([name, true]);
});
