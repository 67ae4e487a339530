import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Manifest } from '../support/helm.ts';
import { makeCertificateAuthority } from '../webhook/a-certificate-authority.ts';
import { tempFolder } from '../support/temp-folder.ts';

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

export interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext: object;
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
}

/** A pod that a chart makes. */
export interface Pod {
  readonly component: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: object;
  readonly container: Container;
}

/** The pods of Deployments and Jobs. Held against Kubernetes' schemas by another test; this one is only as good as that. */
export function podsOf(manifests: readonly Manifest[]): Pod[] {
  return manifests
    .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
    .map(({ metadata, spec }) => {
      const { template } = spec as {
        template: { metadata: { annotations?: Record<string, string> }; spec: { containers: [Container] } };
      };
      return {
        component: metadata.labels['app.kubernetes.io/component'] ?? '',
        annotations: template.metadata.annotations ?? {},
        spec: template.spec,
        container: template.spec.containers[0],
      };
    });
}

/** The pods that a chart makes, and the configuration that it mounts. */
export function chartOf(manifests: readonly Manifest[]): { readonly pods: readonly Pod[]; readonly config: object } {
  const [configMap] = manifests.filter(({ kind }) => kind === 'ConfigMap');
  const data = (configMap?.['data'] ?? {}) as Record<string, string>;
  const text = data['triggers.config.json'] ?? '';
  return { pods: podsOf(manifests), config: JSON.parse(text) as object };
}

/** A signing secret, a certificate or a plain word, by what a file or a variable is called. */
function fakeOf(name: string): string {
  if (name.endsWith('signing')) return `whsec_${Buffer.alloc(32).toString('base64')}`;
  if (name.endsWith('URL')) return 'https://alerts.example.com/hook';
  return name.endsWith('.crt') ? makeCertificateAuthority().certificate : 'a-secret-of-24-characters';
}

/** Writes a configuration with files and variables for all that it refers to. */
export function withFakeSecrets(config: object): {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
} {
  const folder = tempFolder();
  const text = JSON.stringify(config).replaceAll('${file:/secrets/', `\${file:${folder}/secrets/`);
  for (const [, file = ''] of text.matchAll(/\$\{file:([^}]+)\}/g)) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, fakeOf(file));
  }
  const path = join(folder, 'triggers.config.json');
  writeFileSync(path, text);
  const names = Array.from(text.matchAll(/\$\{env:(\w+)\}/g), ([, name = '']) => name);
  const env = Object.fromEntries(names.map((name) => [name, fakeOf(name)]));
  return { path, env };
}
