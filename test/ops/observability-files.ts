import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const ops = fileURLToPath(new URL('../../ops', import.meta.url));
const read = (path: string): string => readFileSync(join(ops, path), 'utf8');

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

// As the tests of these files find them; each reads what it needs, and fails when it is not there.
export const dashboard = JSON.parse(read('grafana/dashboards/audience-triggers.json')) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition: string }[] };
};
export const rules = (parse(read('prometheus/rules.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
export const prometheus = parse(read('prometheus/prometheus.yml')) as {
  readonly rule_files: readonly string[];
  readonly scrape_configs: readonly {
    readonly job_name: string;
    readonly dns_sd_configs: readonly { readonly names: readonly string[]; readonly port: number }[];
  }[];
};
export const datasources = parse(read('grafana/provisioning/datasources/prometheus.yml')) as {
  readonly datasources: readonly { readonly uid: string; readonly url: string }[];
};
export const providers = parse(read('grafana/provisioning/dashboards/audience-triggers.yml')) as {
  readonly providers: readonly { readonly options: { readonly path: string } }[];
};
/** Every query of the dashboard and the rules, with where it stands. */
export const queries: readonly (readonly [where: string, query: string])[] = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
];
