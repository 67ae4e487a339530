import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { dashboard, datasources, prometheus, providers, queries, rules } from './observability-files.ts';
import { readQuery } from './promql.ts';

// No engine runs here: Prometheus and Grafana have never loaded these files in a test. What can be held without them is held below, and each
// query against a real scrape in e2e/metrics.

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const compose = parse(read('docker-compose.yml')) as {
  readonly services: Readonly<
    Record<string, { profiles?: string[]; volumes?: string[]; environment?: Record<string, string | number> }>
  >;
};

test('every query is PromQL', () => {
  expect(queries.length).toBeGreaterThan(30);
  for (const [where, query] of queries) expect([where, readQuery(query).selectors.length > 0]).toEqual([where, true]);
  expect(() => readQuery('sum(rate(a_total[5m])')).toThrow('No PromQL');
});

test('panels have ids of their own, do not lie on each other, and stay within the dashboard', () => {
  const { panels } = dashboard;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = new Set<string>();
  for (const { title, gridPos } of panels) {
    const { x, y, w, h } = gridPos;
    expect([title, x + w <= 24]).toEqual([title, true]);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        expect([title, cells.has(`${column},${line}`)]).toEqual([title, false]);
        cells.add(`${column},${line}`);
      }
    }
  }
});

test('each panel but a row has queries with ids of their own, on the data source that is provisioned', () => {
  const uids = datasources.datasources.map(({ uid }) => uid);
  for (const { type, title, targets = [], datasource } of dashboard.panels) {
    if (type === 'row') continue;
    expect([title, uids.includes(datasource?.uid ?? '')]).toEqual([title, true]);
    expect([title, targets.length > 0]).toEqual([title, true]);
    expect([title, new Set(targets.map(({ refId }) => refId)).size]).toEqual([title, targets.length]);
  }
});

test('a legend names labels that its query leaves', () => {
  for (const { title, targets = [] } of dashboard.panels) {
    for (const { expr, legendFormat } of targets) {
      const named = Array.from(legendFormat.matchAll(/\{\{(\w+)\}\}/g), ([, label = '']) => label);
      const { grouped } = readQuery(expr);
      const left = grouped.length === 0 ? ['instance'] : grouped;
      expect([title, named.filter((label) => !left.includes(label))]).toEqual([title, []]);
    }
  }
});

test('each alert says how grave it is and what happened, and docs/metrics.md says when it rings and what to do', () => {
  const page = read('docs/metrics.md');
  const documented = Array.from(page.matchAll(/^\| `([A-Z]\w+)` +\|[^|]+\|[^|]+\|$/gm), ([, name = '']) => name);
  expect(documented.sort()).toEqual(rules.map(({ alert }) => alert).sort());
  for (const { alert, expr, labels, annotations } of rules) {
    expect([alert, labels.severity]).toEqual([alert, expect.stringMatching(/^(warning|critical)$/)]);
    const { grouped } = readQuery(expr);
    const named = Array.from(annotations.summary.matchAll(/\$labels\.(\w+)/g), ([, label = '']) => label);
    expect([alert, named.filter((label) => !grouped.includes(label))]).toEqual([alert, []]);
  }
});

test('the compose file serves the metrics where Prometheus looks for them, and gives both programs their files', () => {
  const { services } = compose;
  const [scrape] = prometheus.scrape_configs;
  const [found] = scrape?.dns_sd_configs ?? [];
  for (const name of found?.names ?? ['none']) {
    expect(services[name]?.environment).toMatchObject({
      TRIGGERS_METRICS_PORT: found?.port,
      TRIGGERS_METRICS_HOST: '0.0.0.0',
    });
  }
  for (const name of ['prometheus', 'grafana']) expect(services[name]?.profiles).toEqual(['observability']);
  expect(services['prometheus']?.volumes).toContain('./ops/prometheus:/etc/prometheus:ro');
  for (const name of prometheus.rule_files)
    expect(existsSync(fileURLToPath(new URL(`../../ops/prometheus/${name}`, import.meta.url)))).toBe(true);
  const mounted = services['grafana']?.volumes?.map((volume) => volume.split(':')[1]);
  expect(mounted).toContain('/etc/grafana/provisioning');
  for (const { options } of providers.providers) expect(mounted).toContain(options.path);
  expect(datasources.datasources.map(({ url }) => url)).toEqual(['http://prometheus:9090']);
});

test('queries name the job under which Prometheus scrapes', () => {
  const names = prometheus.scrape_configs.map(({ job_name }) => job_name);
  const asked = queries.flatMap(([, query]) =>
    readQuery(query).selectors.flatMap(({ matchers }) =>
      matchers.filter(({ label }) => label === 'job').map(({ value }) => value),
    ),
  );
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.filter((name) => !names.includes(name))).toEqual([]);
});
