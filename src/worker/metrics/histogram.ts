import type { Metric, Registry } from 'prom-client';

export interface HistogramOptions {
  readonly name: string;
  readonly help: string;
  /** The name of its one label. */
  readonly label: string;
  /** Upper bounds, in rising order; a value that is equal to one counts there. */
  readonly buckets: readonly number[];
  /** The registry in which it is exposed. */
  readonly registry: Registry;
}

/** What was observed under one value of the label. */
interface Series {
  /** The count in each bucket alone; the last one is beyond every bound. */
  readonly counts: number[];
  sum: number;
}

/** A line of a scrape, as prom-client's registry writes it down. */
interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/**
 * A histogram with one label, exposed like prom-client's own. Every delivery is observed twice, and each time prom-client checks the label,
 * makes a text of it and looks up the buckets by text, which cost more than everything else that is counted.
 */
export class Histogram {
  readonly name: string;
  readonly #options: HistogramOptions;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(options: HistogramOptions) {
    this.name = options.name;
    this.#options = options;
    this.#bounds = options.buckets;
    // The registry only reads the name of a metric and calls `get`, though its type asks for prom-client's own classes.
    options.registry.registerMetric(this as unknown as Metric);
  }

  /** Only finite numbers are counted: any other would spoil the sum for good. */
  observe(labelValue: string, value: number): void {
    if (!Number.isFinite(value)) return;
    const series = this.#series.get(labelValue) ?? this.#begin(labelValue);
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++; // It is there: bucket < length.
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  /** For the registry, when somebody scrapes. */
  get(): { readonly name: string; readonly help: string; readonly type: 'histogram'; readonly values: Sample[] } {
    const { name, help } = this.#options;
    const values = Array.from(this.#series, ([labelValue, series]) => this.#samples(labelValue, series)).flat();
    return { name, help, type: 'histogram', values };
  }

  #samples(labelValue: string, { counts, sum }: Series): Sample[] {
    const { name, label } = this.#options;
    let count = 0;
    const buckets = [...this.#bounds, '+Inf'].map((le, index) => {
      count += counts[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le, [label]: labelValue }, value: count };
    });
    const labels = { [label]: labelValue };
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }

  #begin(labelValue: string): Series {
    const series = { counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0 };
    this.#series.set(labelValue, series);
    return series;
  }
}
