import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect } from '@jest/globals';
import { release } from '../../../src/config/release.ts';
import { root } from '../../docs/pages.ts';
import { answerWhen, until } from '../../support/patience.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import {
  apply,
  arrivalsOf,
  CHART,
  claim,
  fromOutside,
  get,
  helmOf,
  helmWith,
  kubectl,
  namespace,
  PODS,
  prepareWorld,
  reaches,
  ready,
  RECEIVER,
  run,
  secret,
  server,
  testInCluster,
} from './cluster.ts';
import { CODEC_TOKEN, inBroker, prepareKafka, prepareProduction, TEMPORAL_TLS } from './surroundings.ts';

// One cluster for all tests of this file, which follow each other. What they make is removed before they begin, so that a run can be looked at.
const EXAMPLES = 'ops/helm/examples';
const NEWER = '99.0.0';
const JOB = 'vips';
const BUILD_JOB = 'builds';
const SMALL = '--namespace small';
const WORKER = 'deployment/triggers-audience-triggers-worker';
/** To build the images takes minutes, the first time. */
const BUILD_MS = 20 * 60_000;
const ROLLOUT_MS = 5 * 60_000;
/** From when a trigger is accepted to when it comes, on a busy machine. A task that Temporal hands to an ending worker is done after 10 s. */
const LATE_MS = 14_000;

const NAMESPACES = [
  'examples',
  'small',
  'production',
  'builds',
  'kafka',
  'loyalty',
  'databases',
  'outside',
  'temporal',
  'ingress-nginx',
];
const NETWORK = { allowHttp: true, allowAddresses: [PODS] };
const CRM = { origins: [new URL(RECEIVER).origin], bearer: '${file:/secrets/crm/token}' };
const MORE = { config: { network: NETWORK, authorizations: { crm: CRM } }, secrets: { files: ['crm'] } };

const installSmall = (more: object = {}) =>
  helmWith(`upgrade --install triggers ${CHART} ${SMALL} --values ${EXAMPLES}/small.yaml --wait --timeout 4m`, {
    ...MORE,
    ...more,
  });

interface Pods {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] };
    readonly status: {
      readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
    };
  }[];
}

/** The workers of the release in the namespace small that are not about to end. */
async function workers(): Promise<Pods['items']> {
  const { items } = await get<Pods>(`pods ${SMALL} --selector app.kubernetes.io/component=worker`);
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

let counted = 0;

async function push(job = JOB): Promise<string> {
  const user = `person-${++counted}`;
  await fromOutside(['push', job, '-'], JSON.stringify({ event: 'enter', audience: 'vip', user, profile: {} }));
  return user;
}

/** Pushes people while something happens; says how long after its acceptance the last one came. Each came once. */
async function underLoad(happens: () => Promise<unknown>): Promise<number> {
  const accepted = new Map<string, number>();
  const over = new AbortController();
  const pushing = (async () => {
    while (!over.signal.aborted) accepted.set(await push(), Date.now());
  })();
  try {
    await happens();
  } finally {
    over.abort();
    await pushing;
  }
  const came = await arrivalsOf([...accepted.keys()]);
  expect(came.filter(({ length }) => length !== 1)).toEqual([]);
  const lateMs = Math.max(...came.flat().map(({ user, at }) => at - (accepted.get(user) ?? 0)));
  process.stderr.write(`${accepted.size} people, the last one after ${lateMs} ms\n`);
  return lateMs;
}

beforeAll(async () => {
  await run(`kubectl delete namespace ${NAMESPACES.join(' ')} --ignore-not-found --timeout 180s
    kubectl delete persistentvolume --all --ignore-not-found
    kubectl uncordon node-1 node-2`);
  await run('for file in "${PATH%%:*}"/keda/*; do kubectl apply --server-side --filename "$file"; done');
  await prepareWorld(NEWER);
}, BUILD_MS);

testInCluster.each(readdirSync(join(root, EXAMPLES)))(
  'a restricted namespace takes all that %s makes',
  async (file) => {
    await apply(namespace('examples', { restricted: true }));
    const { stderr } = await run(
      `"$HELM" template triggers ${CHART} --namespace examples --kube-version 1.34.0 --values ${EXAMPLES}/${file} |
      kubectl --namespace examples apply --dry-run=server --filename -`,
    );
    // Where a pod would be refused, its Deployment is taken with a warning.
    expect(stderr).toBe('');
  },
);

testInCluster(
  'where Temporal cannot be set up, Helm says why, and installs nothing else',
  async () => {
    await apply(namespace('examples', { restricted: true }));
    const install = helmWith(`install refused ${CHART} --namespace examples --values ${EXAMPLES}/small.yaml`, {
      temporal: { namespace: 'nowhere' },
    });
    await expect(install).rejects.toThrow(/Namespace not found: 'nowhere'/);
    expect(await kubectl('get deployments,networkpolicies --namespace examples --output name')).toBe('');
  },
  ROLLOUT_MS,
);

testInCluster(
  'an installation of small.yaml sets Temporal up, leaves nothing of that, and delivers what is triggered outside',
  async () => {
    const folder = tempFolder();
    cpSync(join(root, 'examples/data'), folder, { recursive: true });
    chmodSync(folder, 0o755);
    await apply(
      namespace('small', { restricted: true }),
      secret('small', 'crm', { token: 'first' }),
      ...claim('small', 'audiences', folder),
    );
    await installSmall();
    expect(await kubectl(`get jobs,networkpolicies ${SMALL} --output name`)).toBe(
      'networkpolicy.networking.k8s.io/triggers-audience-triggers-worker\n',
    );
    const attributes = await kubectl(
      '--namespace temporal exec deployment/temporal-frontend -- /cli/temporal operator search-attribute list',
    );
    expect(attributes).toContain('ExportFailure');
    const options = ['--id', JOB, '--label', 'VIPs', '--audience', 'vip', '--url', RECEIVER, '--authorization', 'crm'];
    await fromOutside(['start', ...options, '--no-existing-users']);
    const [[arrival] = []] = await arrivalsOf([await push()]);
    expect(arrival).toMatchObject({ authorization: 'Bearer first' });
    // As the page says.
    expect(await kubectl(`${SMALL} exec ${WORKER} -- node lib/app/main.js list`)).toContain(JOB);
  },
  ROLLOUT_MS,
);

testInCluster('workers run on both nodes, as an ordinary user, and can write to nothing', async () => {
  expect(new Set((await workers()).map(({ spec }) => spec.nodeName)).size).toBe(2);
  const status = await kubectl(`${SMALL} exec ${WORKER} -- sh -c 'id -u; grep -E "Cap...:|Seccomp:" /proc/1/status'`);
  expect(status).toMatch(/^1000\n/);
  expect(status.match(/Cap\w+:\t0{16}$/gm)).toHaveLength(5);
  expect(status).toMatch(/Seccomp:\t2$/m);
  await expect(kubectl(`${SMALL} exec ${WORKER} -- touch /data/x`)).rejects.toThrow('Read-only file system');
});

testInCluster('a worker reaches Temporal and allowed pods, and nothing else in the cluster', async () => {
  const from = `${SMALL} exec ${WORKER}`;
  expect(await reaches(from, 'temporal-frontend.temporal.svc.cluster.local', 7233)).toBe(true);
  expect(await reaches(from, 'receiver.outside.svc.cluster.local', 9000)).toBe(true);
  // The API server: a service, and an address that is no pod's.
  expect(await reaches(from, 'kubernetes.default.svc.cluster.local', 443)).toBe(false);
  expect(await reaches(from, '10.213.0.1', 6443)).toBe(false);
  // Without the policy, the same pod would.
  expect(await reaches('--namespace outside exec deployment/receiver', '10.213.0.1', 6443)).toBe(true);
  const [worker] = await workers();
  const address = await kubectl(`${SMALL} get pod ${worker?.metadata.name} --output jsonpath={.status.podIP}`);
  expect(await reaches('--namespace outside exec deployment/receiver', address, 9464)).toBe(true);
});

testInCluster(
  'an upgrade under load sends nothing twice and nothing late, and neither does its rollback',
  async () => {
    const upgrade = () => installSmall({ image: { tag: NEWER } });
    expect(await underLoad(upgrade)).toBeLessThan(LATE_MS);
    const image = async () => (await workers()).map(({ spec }) => spec.containers[0]?.image);
    expect(await image()).toEqual([`audience-triggers:${NEWER}`, `audience-triggers:${NEWER}`]);
    expect(await underLoad(() => helmOf(`rollback triggers ${SMALL} --wait --timeout 4m`))).toBeLessThan(LATE_MS);
    expect(await image()).toEqual([`audience-triggers:${release()}`, `audience-triggers:${release()}`]);
  },
  2 * ROLLOUT_MS,
);

testInCluster(
  'with a configuration that cannot be used, no new pod takes over, and the old ones go on',
  async () => {
    const before = (await workers()).map(({ metadata }) => metadata.name);
    const { config } = MORE;
    const source = { kind: 'file', folder: '/data/nowhere' };
    await expect(
      helmWith(`upgrade triggers ${CHART} ${SMALL} --values ${EXAMPLES}/small.yaml --wait --timeout 20s`, {
        ...MORE,
        config: { ...config, source },
      }),
    ).rejects.toThrow(/deadline|timed out/);
    expect((await workers()).map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(before));
    await arrivalsOf([await push()]);
    await helmOf(`rollback triggers ${SMALL} --wait --timeout 4m`);
  },
  ROLLOUT_MS,
);

testInCluster(
  'a rollback takes back what a failed upgrade has added, also where its pods wait for a Secret',
  async () => {
    const variables = async () => await kubectl(`${SMALL} get ${WORKER} --output jsonpath={..env[*].name}`);
    const upgrade = helmWith(
      `upgrade triggers ${CHART} ${SMALL} --values ${EXAMPLES}/small.yaml --wait --timeout 10s`,
      { ...MORE, payloadKeys: { secret: 'nowhere', key: 'keys' } },
    );
    await expect(upgrade).rejects.toThrow(/deadline|timed out/);
    expect(await variables()).toContain('TRIGGERS_PAYLOAD_KEYS');
    await helmOf(`rollback triggers ${SMALL} --wait --timeout 4m`);
    expect(await variables()).not.toContain('TRIGGERS_PAYLOAD_KEYS');
    await arrivalsOf([await push()]);
  },
  ROLLOUT_MS,
);

testInCluster(
  'nodes are emptied under load, one worker at a time, and nothing is sent twice or late',
  async () => {
    const empty = async (node: string, more: string) => {
      try {
        return await run(`kubectl drain ${node} --ignore-daemonsets --timeout 180s ${more}`);
      } finally {
        await kubectl(`uncordon ${node}`);
      }
    };
    const areOn = (node: string) =>
      until(async () => (await workers()).every(({ spec }) => spec.nodeName === node), 500);
    expect(await underLoad(() => empty('node-2', '--delete-emptydir-data'))).toBeLessThan(LATE_MS);
    await areOn('node-1');
    await kubectl(`${SMALL} rollout status ${WORKER} --timeout 120s`);
    // The other node has both, and what stands for other systems.
    let said = '';
    const emptied = async () => {
      ({ stderr: said } = await empty('node-1', '--pod-selector app.kubernetes.io/component=worker'));
    };
    expect(await underLoad(emptied)).toBeLessThan(LATE_MS);
    expect(said).toContain("it would violate the pod's disruption budget");
    await areOn('node-2');
    await kubectl(`${SMALL} rollout status ${WORKER} --timeout 120s`);
  },
  2 * ROLLOUT_MS,
);

testInCluster('a pod that is killed is replaced, and nothing is lost', async () => {
  const [worker] = await workers();
  const users = await Promise.all(Array.from({ length: 20 }, () => push()));
  await kubectl(`${SMALL} delete pod ${worker?.metadata.name} --grace-period 0 --force`);
  await arrivalsOf([...users, await push()]);
  await kubectl(`${SMALL} rollout status ${WORKER} --timeout 120s`);
});

testInCluster(
  'a secret that is changed is used without a restart',
  async () => {
    const names = (await workers()).map(({ metadata }) => metadata.name).sort();
    await apply(secret('small', 'crm', { token: 'second' }));
    const authorization = async () => (await arrivalsOf([await push()]))[0]?.[0]?.authorization;
    await answerWhen(authorization, (is) => is === 'Bearer second', 2_000);
    const after = await workers();
    expect(after.map(({ metadata }) => metadata.name).sort()).toEqual(names);
    expect(after.map(({ status }) => status.containerStatuses?.[0]?.restartCount)).toEqual([0, 0]);
  },
  ROLLOUT_MS,
);

testInCluster('an uninstall leaves nothing of the chart', async () => {
  await helmOf(`uninstall triggers ${SMALL} --wait --timeout 3m`);
  const kinds = 'deployments,services,networkpolicies,poddisruptionbudgets,configmaps,serviceaccounts,jobs';
  const left = await kubectl(`get ${kinds} ${SMALL} --selector app.kubernetes.io/instance=triggers --output name`);
  expect(left).toBe('');
});

/** Asks a server of a release by the name of its Ingress, as an Ingress controller would. */
async function asIngress(url: string, host: string, { key, method = 'GET', body = '' }: Asking): Promise<Answer> {
  const headers = { host, authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const options = JSON.stringify({ method, headers });
  const script = `require("http").request("${url}", ${options}, (answer) => {
    let body = ""; answer.on("data", (chunk) => (body += chunk));
    answer.on("end", () => console.log(JSON.stringify({ status: answer.statusCode, body })));
  }).end(process.argv[1])`;
  const exec = '--namespace ingress-nginx exec deployment/controller --';
  return JSON.parse(await kubectl(`${exec} node -e '${script}' '${body}'`)) as Answer; // The script prints one.
}

interface Asking {
  readonly key: string;
  readonly method?: string;
  readonly body?: string;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

testInCluster(
  'production.yaml runs: by TLS to Temporal and PostgreSQL, encrypted, an outbox, and the servers only behind the Ingress',
  async () => {
    const database = await prepareProduction();
    const key = `trg_${randomBytes(32).toString('base64url')}`;
    const hash = `sha256:${createHash('sha256').update(key).digest('hex')}`;
    const log = 'postgres://log@people.databases.svc.cluster.local/log?sslmode=verify-full';
    const values = {
      image: { repository: 'audience-triggers' },
      temporal: { address: `${TEMPORAL_TLS}:7233` },
      config: {
        network: NETWORK,
        authorizations: { crm: { origins: CRM.origins } },
        apiKeys: { operators: { hash, may: ['read', 'trigger', 'operate'] } },
        deliveryLog: {
          url: log,
          password: '${env:LOG_PASSWORD}',
          certificateAuthorities: ['${file:/secrets/databases-ca/ca.crt}'],
        },
      },
      secrets: { env: { LOG_PASSWORD: { secret: 'log-database', key: 'password' } } },
      networkPolicy: { egress: { api: [{ ports: [{ protocol: 'TCP', port: 5432 }] }] } },
    };
    const file = `${EXAMPLES}/production.yaml`;
    await helmWith(`install triggers ${CHART} --namespace production --values ${file} --wait --timeout 4m`, values);
    const kinds = 'ingresses,scaledobjects,triggerauthentications,poddisruptionbudgets';
    expect(await kubectl(`get ${kinds} --namespace production --output name`)).toMatch(/ingress.*\n.*scaledobject/s);

    const api = 'triggers-audience-triggers-api.production.svc.cluster.local';
    const ask = (path: string, asking: Omit<Asking, 'key'> = {}) =>
      asIngress(`http://${api}${path}`, 'triggers.example.com', { key, ...asking });
    const form = { label: 'VIPs', audiences: ['vip'], webhookUrl: RECEIVER, authorization: 'crm', exportFields: [] };
    const body = JSON.stringify({ ...form, existingUsers: false, parallelRequestCount: 5 });
    const started = await ask('/v1/jobs?id=vips-to-the-crm', { method: 'POST', body });
    expect(started).toMatchObject({ status: 201 });
    await database.query(
      "INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ('vip', 'bought', 'enter', '{}')",
    );
    const [[arrival, ...more] = []] = await arrivalsOf(['bought']);
    expect(arrival).toMatchObject({ authorization: 'Bearer first' });
    expect(more).toEqual([]);
    await database.end();
    const deliveries = () => ask('/v1/deliveries?jobId=vips-to-the-crm');
    await answerWhen(deliveries, ({ status, body }) => status === 200 && body.includes('bought'), 500);

    const codec = 'triggers-audience-triggers-codec-server.production.svc.cluster.local';
    const decoded = { method: 'POST', body: '{"payloads":[]}' };
    expect(
      await asIngress(`http://${codec}/decode`, 'codec.example.com', { key: CODEC_TOKEN, ...decoded }),
    ).toMatchObject({ status: 200 });
    const outside = '--namespace outside exec deployment/receiver';
    expect(await reaches(outside, api, 80)).toBe(false);
    expect(await reaches(outside, codec, 80)).toBe(false);
    const inside = (part: string) => `--namespace production exec deployment/triggers-audience-triggers-${part}`;
    // A part reaches what it needs.
    expect(await reaches(inside('outbox'), 'people.databases.svc.cluster.local', 5432)).toBe(true);
    expect(await reaches(inside('outbox'), 'receiver.outside.svc.cluster.local', 9000)).toBe(false);
    expect(await reaches(inside('api'), 'receiver.outside.svc.cluster.local', 9000)).toBe(false);
    expect(await reaches(inside('codec-server'), TEMPORAL_TLS, 7233)).toBe(false);
    expect(await reaches(inside('codec-server'), '10.213.0.1', 53)).toBe(false);
  },
  ROLLOUT_MS,
);

testInCluster(
  'jobs move from one build of builds.yaml to the other, and the old one goes',
  async () => {
    const people = `require("http").createServer(({ url }, answer) =>
      answer.end(JSON.stringify({ data: url.startsWith("/audiences?") || url === "/audiences" ? [{ id: "vip", name: "VIP" }] : [] }))).listen(9000)`;
    await apply(
      namespace('builds', { restricted: true }),
      secret('builds', 'people', { token: 'p' }),
      ...server({ namespace: 'outside', name: 'people', port: 9000, headless: true, command: ['node', '-e', people] }),
    );
    await ready('outside', 'people');
    const builds = [
      { id: '41', tag: release(), replicas: 1 },
      { id: '42', tag: NEWER },
    ];
    const installBuilds = (which: readonly object[]) =>
      helmWith(
        `upgrade --install triggers ${CHART} --namespace builds --values ${EXAMPLES}/builds.yaml --wait --timeout 4m`,
        {
          config: { network: NETWORK, source: { url: 'http://people.outside.svc.cluster.local:9000' } },
          networkPolicy: { egress: { worker: [{ ports: [{ port: 9000 }] }] } },
          worker: { versioning: { builds: which } },
        },
      );
    const temporal = (line: string) =>
      kubectl(`--namespace temporal exec deployment/temporal-frontend -- /cli/temporal ${line}`);
    const makeCurrent = (id: string) =>
      temporal(`worker deployment set-current-version --deployment-name marketing --build-id ${id} --yes`);
    const version = (id: string) =>
      `"TemporalWorkerDeploymentVersion = 'marketing:${id}' AND ExecutionStatus = 'Running'"`;
    await installBuilds(builds);
    await until(
      () =>
        makeCurrent('41').then(
          () => true,
          () => false,
        ),
      1_000,
    );
    const triggersIn = (line: string) =>
      kubectl(
        `--namespace builds exec deployment/triggers-audience-triggers-worker-41 -- node lib/app/main.js ${line}`,
      );
    await triggersIn(
      `start --id ${BUILD_JOB} --label Builds --audience vip --url ${RECEIVER} --no-authorization --no-existing-users`,
    );
    await arrivalsOf([await push(BUILD_JOB)]);
    await makeCurrent('42');
    await temporal(`workflow signal --name triggers --input '[]' --reason 42 --yes --query ${version('41')}`);
    await until(async () => /\b0\b/.test(await temporal(`workflow count --query ${version('41')}`)), 1_000);
    await installBuilds(builds.slice(1));
    await arrivalsOf([await push(BUILD_JOB)]);
  },
  ROLLOUT_MS,
);

testInCluster(
  'what is written to the topic of kafka.yaml arrives, by TLS and a password; workers share the folder of watches',
  async () => {
    const folders = [tempFolder(), tempFolder()] as const;
    cpSync(join(root, 'examples/data'), join(folders[0], 'audiences'), { recursive: true });
    for (const folder of folders) chmodSync(folder, 0o777);
    await apply(
      namespace('loyalty', { restricted: true }),
      secret('loyalty', 'kafka', { password: 'p', 'ca.crt': await prepareKafka('p') }),
      ...claim('loyalty', 'audiences', folders[0]),
      ...claim('loyalty', 'triggers-watch', folders[1]),
    );
    const network = { ...NETWORK, allowPorts: ['9000'] };
    const install = `install triggers ${CHART} --namespace loyalty --values ${EXAMPLES}/kafka.yaml --timeout 4m`;
    await helmWith(install, { config: { network, kafka: { from: 'earliest' } } });
    for (const part of ['worker', 'kafka'])
      await kubectl(`--namespace loyalty rollout status deployment/triggers-audience-triggers-${part} --timeout 120s`);
    const inWorker = '--namespace loyalty exec deployment/triggers-audience-triggers-worker --';
    await kubectl(`${inWorker} touch /watch/x`);
    const job = `--id vips-to-the-crm --label Loyal --audience vip --url ${RECEIVER} --no-authorization`;
    await kubectl(`${inWorker} node lib/app/main.js start ${job} --no-existing-users`);
    const value = JSON.stringify({ audience: 'vip', user: 'loyal', event: 'enter', profile: {} });
    await inBroker(
      `new Producer(broker).send({ messages: [{ topic: "audience-changes", value: Buffer.from(JSON.stringify(${value})) }], acks: -1 })`,
    );
    expect((await arrivalsOf(['loyal'])).flat()).toHaveLength(1);
  },
  ROLLOUT_MS,
);
