/** One line of the result. */
export interface Row {
  readonly case: string;
  readonly inFlight: number;
  readonly ratePerS?: number;
  readonly ratioToRaw?: number;
  /** To the same without a delivery log: the median of the rounds, and each round's. */
  readonly ratioToBare?: number;
  readonly ratiosToBare?: readonly number[];
  readonly mostInFlight?: number;
  readonly acceptedPerS?: number;
  readonly p50Ms?: number;
  readonly p90Ms?: number;
  readonly p99Ms?: number;
  readonly longestMs?: number;
  readonly usPerDelivery?: Readonly<Record<string, number>>;
  readonly eventsPerDelivery?: number;
  readonly actionsPerDelivery?: number;
  readonly longestRunEvents?: number;
  readonly workerMemoryMb?: readonly number[];
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? Number.NaN;
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}

/** Prints a row as one JSON line for machines, and gives it on. */
export function print(row: Row): Row {
  const rounded = Object.entries(row).map(([key, value]) => [
    key,
    typeof value === 'number' ? Number(value.toPrecision(4)) : value,
  ]);
  console.log(JSON.stringify(Object.fromEntries(rounded)));
  return row;
}

/** All rows for people. */
export function table(rows: readonly Row[]): string {
  const head = [
    'case',
    'in flight',
    'per s',
    'ratio',
    'accepted',
    'p50 ms',
    'p90 ms',
    'p99 ms',
    'longest ms',
    'events/delivery',
    'actions/delivery',
  ];
  const lines = rows.map((row) => [
    row.case,
    String(row.inFlight),
    row.ratePerS?.toFixed(0) ?? '',
    row.ratioToRaw?.toFixed(3) ?? '',
    row.acceptedPerS?.toFixed(0) ?? '',
    row.p50Ms?.toFixed(1) ?? '',
    row.p90Ms?.toFixed(1) ?? '',
    row.p99Ms?.toFixed(1) ?? '',
    row.longestMs?.toFixed(0) ?? '',
    row.eventsPerDelivery?.toFixed(4) ?? '',
    row.actionsPerDelivery?.toFixed(4) ?? '',
  ]);
  const widths = head.map((name, column) => Math.max(name.length, ...lines.map((line) => line[column]?.length ?? 0)));
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
