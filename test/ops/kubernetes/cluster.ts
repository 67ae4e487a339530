import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from '@jest/globals';
import { findTemporalCli } from '../../../src/features/local/temporal-cli.ts';
import { release } from '../../../src/config/release.ts';
import { root } from '../../docs/pages.ts';
import { answerWhen } from '../../support/patience.ts';
import { jsonLines, Program, triggers } from '../../support/triggers-cli.ts';
import type { Arrival, Said } from '../containers/installation.ts';

const NEEDED = `set -e
  cluster=$(ops/kubernetes/cluster.sh); eval "$cluster"; engine=$(ops/containers/engine.sh); eval "$engine"
  docker image inspect debian:bookworm-slim node:24-bookworm-slim >/dev/null
  helm=$(ops/helm/get-helm.sh)
  ops/kafka/broker.sh --fetch >&2
  printf '%s\\n' "$KUBECONFIG" "\${DOCKER_HOST:-}" "$PATH" "$helm"`;
const found = spawnSync('bash', ['-c', NEEDED], { cwd: root, encoding: 'utf8' });
const missing = found.status === 0 ? undefined : (found.error?.message ?? found.stderr.trim());
if (missing !== undefined) process.stderr.write(`SKIPPED: the chart is installed nowhere. Missing is: ${missing}.\n`);

/** As `test`, and left out where no cluster runs (ops/kubernetes/cluster.sh --start). */
export const testInCluster = missing === undefined ? test : test.skip;

const [kubeconfig = '', dockerHost = '', path = '', helm = ''] = found.stdout.split('\n');
const env = {
  KUBECONFIG: kubeconfig,
  PATH: path,
  HELM: helm,
  HOME: process.env['HOME'],
  ...(dockerHost && { DOCKER_HOST: dockerHost }),
};

export const CHART = 'ops/helm/audience-triggers';
/** Of pods, on either node; services have 10.215.0.0/16. */
export const PODS = '10.214.0.0/16';
/** The image that other programs of the tests run in. */
const NODE = 'node:24-bookworm-slim';

/** Runs a line of a shell in the folder of the project. @throws when it fails. */
export async function run(line: string, stdin?: string): Promise<Said> {
  const program = new Program('sh', ['-c', line], { cwd: root, env, ...(stdin !== undefined && { stdin }) });
  const { code, stdout, stderr } = await program.end();
  if (code !== 0) throw new Error(`${line} ended with ${code}: ${stderr}${stdout}`);
  return { stdout, stderr };
}

/** @throws when it fails. */
export async function kubectl(line: string, stdin?: string): Promise<string> {
  return (await run(`kubectl ${line}`, stdin)).stdout;
}

/** Runs Helm with these values on top of a file of them. @throws when it fails. */
export async function helmWith(line: string, values: object): Promise<string> {
  return (await run(`"$HELM" ${line} --values -`, JSON.stringify(values))).stdout;
}

export async function helmOf(line: string): Promise<string> {
  return (await run(`"$HELM" ${line}`)).stdout;
}

export async function apply(...manifests: readonly object[]): Promise<void> {
  await kubectl('apply --filename -', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }));
}

/** What Kubernetes knows of a thing. */
export async function get<T>(line: string): Promise<T> {
  return JSON.parse(await kubectl(`get ${line} --output json`)) as T; // The test says what it expects there.
}

/** A namespace; with `restricted`, one that takes only pods that may do next to nothing. */
export function namespace(name: string, { restricted = false } = {}): object {
  const labels = restricted ? { 'pod-security.kubernetes.io/enforce': 'restricted' } : {};
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

export function secret(namespace: string, name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData };
}

/** A volume that every node has, since both are this machine, and a claim on it. */
export function claim(namespace: string, name: string, folder: string): object[] {
  const terms = { accessModes: ['ReadWriteMany'], storageClassName: '' };
  const volume = `${namespace}-${name}`;
  return [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: volume },
      spec: { ...terms, capacity: { storage: '1Gi' }, hostPath: { path: folder }, claimRef: { namespace, name } },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace },
      spec: { ...terms, volumeName: volume, resources: { requests: { storage: '1Gi' } } },
    },
  ];
}

interface Server {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly command: readonly string[];
  /** By their paths in the pod. */
  readonly folders?: Readonly<Record<string, string>>;
  /** By their paths in the pod: what is in them. */
  readonly files?: Readonly<Record<string, string>>;
  /** Without an address of its own, its name leads to the pod. */
  readonly headless?: boolean;
}

/** Something that stands for another system: one pod, on the node that no test empties, with a Service. */
export function server({
  namespace,
  name,
  port,
  command,
  folders = {},
  files = {},
  headless = false,
}: Server): object[] {
  const metadata = { name, namespace, labels: { app: name } };
  const keyOf = (path: string) => path.replaceAll('/', '_');
  const volumes = [
    ...Object.values(folders).map((folder, i) => ({ name: `folder-${i}`, hostPath: { path: folder } })),
    { name: 'files', configMap: { name } },
  ];
  const volumeMounts = [
    ...Object.keys(folders).map((mountPath, i) => ({ name: `folder-${i}`, mountPath })),
    ...Object.keys(files).map((mountPath) => ({ name: 'files', mountPath, subPath: keyOf(mountPath) })),
  ];
  const container = {
    name,
    image: NODE,
    command,
    volumeMounts,
    readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
  };
  const securityContext = { runAsUser: 1000, runAsGroup: 1000 };
  const pod = {
    nodeName: 'node-1',
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext,
    containers: [container],
    volumes,
  };
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: Object.fromEntries(Object.entries(files).map(([path, text]) => [keyOf(path), text])),
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        strategy: { type: 'Recreate' },
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: pod },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: { app: name }, ports: [{ port }], ...(headless && { clusterIP: 'None' }) },
    },
  ];
}

export async function ready(namespace: string, name: string): Promise<void> {
  await kubectl(`--namespace ${namespace} rollout status deployment/${name} --timeout 120s`);
}

export const RECEIVER = 'http://receiver.outside.svc.cluster.local:9000/hook';
const TEMPORAL = { namespace: 'temporal', name: 'temporal-frontend' };

/** What the chart needs around it: images of this release, a Temporal with two namespaces, and a receiver. */
export async function prepareWorld(newer: string): Promise<void> {
  const image = `audience-triggers:${release()}`;
  await run(`docker build --tag ${image} .`);
  // The same with another version, as what comes next.
  const next = `FROM ${image}\nUSER root\nRUN sed -i 's/"version": "[^"]*"/"version": "${newer}"/' package.json\nUSER node\n`;
  await run(`docker build --tag audience-triggers:${newer} -`, next);
  await run(`ops/kubernetes/cluster.sh --load ${image} audience-triggers:${newer} ${NODE}`);
  await apply(namespace('temporal'), namespace('outside'));
  const { path: cli } = await findTemporalCli();
  const receiver = readFileSync(join(root, 'test/ops/containers/receiver.mjs'), 'utf8');
  await apply(
    ...server({
      ...TEMPORAL,
      port: 7233,
      command: `/cli/temporal server start-dev --ip 0.0.0.0 --headless --log-level error --namespace marketing
        --dynamic-config-value frontend.enableCancelWorkerPollsOnShutdown=true`.split(/\s+/),
      folders: { '/cli': join(cli, '..') },
    }),
    ...server({
      namespace: 'outside',
      name: 'receiver',
      port: 9000,
      command: ['node', '/receiver.mjs'],
      files: { '/receiver.mjs': receiver },
      headless: true,
    }),
  );
  await ready('temporal', 'temporal-frontend');
  await ready('outside', 'receiver');
}

let temporalAddress: Promise<string> | undefined;

/** Runs `triggers` on this machine, outside of the cluster. @throws when it fails. */
export async function fromOutside(args: readonly string[], stdin = ''): Promise<string> {
  temporalAddress ??= get<{ spec: { clusterIP: string } }>(`service ${TEMPORAL.name} --namespace temporal`).then(
    ({ spec }) => `${spec.clusterIP}:7233`,
  );
  const { code, stdout, stderr } = await triggers(args, { stdin, env: { TEMPORAL_ADDRESS: await temporalAddress } });
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

/** What came to the receiver. */
async function arrivals(): Promise<Arrival[]> {
  const said = await kubectl('--namespace outside logs deployment/receiver --tail -1');
  return jsonLines<Arrival>(said).filter(({ what }) => what === 'came');
}

/** Once each of these people has come, in the order of `users`. */
export async function arrivalsOf(users: readonly string[]): Promise<Arrival[][]> {
  const of = async () => {
    const all = await arrivals();
    return users.map((user) => all.filter((arrival) => arrival.user === user));
  };
  return await answerWhen(of, (found) => found.every((each) => each.length > 0), 1_000);
}

/** Whether a pod of a Deployment gets a connection. */
export async function reaches(from: string, host: string, port: number): Promise<boolean> {
  const script = `const s = require("net").connect({ host: "${host}", port: ${port}, timeout: 3000 });
    const say = (text) => () => { console.log(text); process.exit(); };
    s.on("connect", say("open")).on("timeout", say("shut")).on("error", say("shut"));`;
  return (await kubectl(`${from} -- node -e '${script}'`)).trim() === 'open';
}
