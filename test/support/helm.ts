import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const CHART = `${root}ops/helm/audience-triggers`;
/** Of the cluster that a chart is rendered for. */
const KUBERNETES = ['--kube-version', '1.37.0'];

const found = spawnSync(`${root}ops/helm/get-helm.sh`, { encoding: 'utf8' });
const missing = found.status === 0 ? undefined : (found.error?.message ?? found.stderr.trim());
if (missing !== undefined)
  process.stderr.write(`SKIPPED: what a Helm chart makes is not looked at. Missing is: ${missing}.\n`);

/** As `test`, and left out where there is no Helm. */
export const testWithHelm = missing === undefined ? test : test.skip;

/** What Kubernetes would be told. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [key: string]: unknown;
}

/** What a command of Helm says. @throws with what it has against it. */
export function helm(args: readonly string[], values: object = {}): string {
  const command = [...args, ...KUBERNETES, '--values', '-'];
  return execFileSync(found.stdout.trim(), command, { encoding: 'utf8', input: JSON.stringify(values), stdio: 'pipe' });
}

const known = new Map<string, Manifest[]>();

/** What the chart makes of these values, on top of those files; each once, since Helm takes a third of a second. */
export function rendered(files: readonly string[], values: object = {}): readonly Manifest[] {
  const key = JSON.stringify([files, values]);
  const manifests = known.get(key) ?? render(files, values);
  known.set(key, manifests);
  return manifests;
}

function render(files: readonly string[], values: object): Manifest[] {
  const text = helm(['template', 'a-release', CHART, ...files.flatMap((file) => ['--values', file])], values);
  // As Helm and Kubernetes read it: `no` is no text.
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) =>
    document.contents === null ? [] : [document.toJS() as Manifest],
  );
}

/** What Helm has against these values; empty when it takes them. */
export function refusal(values: object): string {
  const command = ['template', 'a-release', CHART, ...KUBERNETES, '--values', '-'];
  const { status, stderr } = spawnSync(found.stdout.trim(), command, {
    encoding: 'utf8',
    input: JSON.stringify(values),
  });
  return status === 0 ? '' : stderr;
}
