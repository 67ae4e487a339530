/** One metric of a scrape. */
export interface ScrapedMetric {
  readonly type: string;
  /** Names of its labels, `le` left out. */
  readonly labels: ReadonlySet<string>;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** With the suffix of a histogram's part. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Parses Prometheus' text format, by the names of the metrics. @throws for a line that is not part of it. */
export function readExposition(text: string): Map<string, ScrapedMetric> {
  const metrics = new Map<string, { type: string; labels: Set<string>; samples: Sample[] }>();
  let current: { type: string; labels: Set<string>; samples: Sample[] } | undefined;
  for (const line of text.split('\n')) {
    const [, declared, type = ''] = /^# TYPE (\S+) (\w+)$/.exec(line) ?? [];
    if (declared !== undefined) metrics.set(declared, (current = { type, labels: new Set(), samples: [] }));
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', inside = '', value] = SAMPLE.exec(line) ?? [];
    if (name === '' || current === undefined) throw new Error(`Not a line of a scrape: ${line}`);
    const labels = Object.fromEntries(Array.from(inside.matchAll(LABEL), ([, label = '', text = '']) => [label, text]));
    for (const label of Object.keys(labels)) if (label !== 'le') current.labels.add(label);
    current.samples.push({ name, labels, value: Number(value) });
  }
  return metrics;
}

/** The sum of the samples with this name and these labels. */
export function sumOf(
  metrics: ReadonlyMap<string, ScrapedMetric>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const samples = [...metrics.values()].flatMap((metric) => metric.samples);
  return samples
    .filter((one) => one.name === name && Object.entries(labels).every(([label, text]) => one.labels[label] === text))
    .reduce((sum, { value }) => sum + value, 0);
}
