import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { LastHour } from '../client/jobs/job-list.ts';
import type { JobTrend } from '../contract/job-status.ts';
import { shownCount } from '../domain/text.ts';
import { Choice, Head, Time } from './parts.tsx';

const SPARK = { width: 120, height: 22 };
const MINUTES = 60;

/** Deliveries minute by minute as a row of bars, with failures on top of them; the newest is at the right. */
export function Spark({ hour: { delivered, failed } }: { readonly hour: LastHour }): JSX.Element {
  const most = Math.max(1, ...delivered.map((count, i) => count + (failed[i] ?? 0)));
  const heightOf = (count: number): number => (count === 0 ? 0 : Math.max(1.5, (count / most) * (SPARK.height - 1)));
  const step = SPARK.width / MINUTES;
  const from = SPARK.width - delivered.length * step;
  // One path for all bars of a kind: a page has hundreds of rows.
  const bars = (counts: readonly number[], below: readonly number[] = []): string =>
    counts
      .flatMap((count, i) => {
        const bottom = SPARK.height - heightOf(below[i] ?? 0);
        const x = (from + (i + 0.5) * step).toFixed(1);
        return count === 0 ? [] : [`M${x} ${bottom.toFixed(1)}v-${heightOf(count).toFixed(1)}`];
      })
      .join('');
  const sum = (counts: readonly number[]): string => shownCount(counts.reduce((total, count) => total + count, 0));
  const label = `${sum(delivered)} delivered, ${sum(failed)} failed`;
  return (
    <svg {...SPARK} viewBox={`0 0 ${SPARK.width} ${SPARK.height}`} class="spark" role="img" aria-label={label}>
      <title>{label}</title>
      <path d={`M0 ${SPARK.height - 0.5}H${SPARK.width}`} class="base" />
      <path d={bars(delivered)} class="delivered" />
      <path d={bars(failed, delivered)} class="failed" />
    </svg>
  );
}

/** A job's last hour and last day: deliveries and failures, and below them the waiting triggers; and the same as a table. */
export function TrendPlots({ trend }: { readonly trend: JobTrend }): JSX.Element {
  const [span, setSpan] = useState<'hour' | 'day'>('hour');
  const [isTable, setTable] = useState(false);
  const points = trend[span];
  return (
    <section class="trend" aria-labelledby="trend-title">
      <header>
        <h2 id="trend-title">{span === 'hour' ? 'The last hour' : 'The last day'}</h2>
        <Choice label="Span" of={['hour', 'day']} chosen={span} choose={setSpan}>
          <button type="button" aria-pressed={isTable} onClick={() => setTable(!isTable)}>
            table
          </button>
        </Choice>
      </header>
      {points.length === 0 ? (
        <p class="quiet">No activity yet.</p>
      ) : isTable ? (
        <StepTable
          names={['Delivered', 'Failed attempts', 'Waiting at the end']}
          steps={points.map(({ at, delivered, failed, waiting }) => ({ at, numbers: [delivered, failed, waiting] }))}
        />
      ) : (
        <>
          <Plot points={points} series={['delivered', 'failed']} height={150} span={span} {...STEPS[span]} />
          <Plot points={points} series={['waiting']} height={100} span={span} {...STEPS[span]} />
        </>
      )}
    </section>
  );
}

interface StepTableProps {
  readonly names: readonly string[];
  /** Oldest first. */
  readonly steps: readonly { readonly at: string; readonly numbers: readonly number[]; readonly href?: string }[];
}

/** The numbers of a plot, newest first. */
export function StepTable({ names, steps }: StepTableProps): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Numbers">
      <table>
        <Head columns={['From', ...names]} numbers={names} />
        <tbody>
          {steps.toReversed().map(({ at, numbers, href }) => (
            <tr key={at}>
              <td>
                {href === undefined ? (
                  <Time at={at} clock />
                ) : (
                  <a href={href}>
                    <Time at={at} clock />
                  </a>
                )}
              </td>
              {numbers.map((n, i) => (
                <td key={names[i]} class="number">
                  {shownCount(n)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

type Series = 'delivered' | 'failed' | 'waiting' | 'p95';

interface PlotProps {
  /** Oldest first; all steps. */
  readonly points: readonly ({ readonly at: string } & { readonly [one in Series]?: number })[];
  readonly series: readonly Series[];
  readonly height: number;
  /** The last how long, in words. */
  readonly span: string;
  readonly spanS: number;
  readonly stepS: number;
  /** Takes the beginning of a step that is clicked. */
  readonly onPick?: (at: Date) => void;
}

/** The spans of a job's trend. */
const STEPS = { hour: { spanS: 3600, stepS: 60 }, day: { spanS: 86_400, stepS: 900 } };

/** Bars, one beside the other, up to now. */
export function Plot({ points, series, height, span, spanS, stepS, onPick }: PlotProps): JSX.Element {
  const ref = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [isDark, setDark] = useState(false);
  // A bar drawn later covers the ones before it.
  const drawn = series.toReversed();
  const dataOf = (): uPlot.AlignedData => [
    points.map(({ at }) => Date.parse(at) / 1000),
    // Zero gets no bar, not even a flat one. Failures stand on the deliveries, whose bars are drawn over theirs.
    ...drawn.map((one) =>
      points.map(
        (point) => (one === 'failed' && point.failed ? point.failed + (point.delivered ?? 0) : point[one]) || null,
      ),
    ),
  ];
  const kind = drawn.join(' ');
  useEffect(() => {
    const { current } = ref;
    if (current === null) return undefined;
    const made = new uPlot(options(current, kind.split(' ') as Series[], { spanS, stepS, height }), dataOf(), current);
    plot.current = made;
    made.over.addEventListener('click', () => {
      const at = made.data[0][made.cursor.idxs?.[0] ?? -1];
      if (at !== undefined) onPick?.(new Date(at * 1000));
    });
    const resized = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height }));
    resized.observe(current);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    // The legend takes its colours when it is made.
    const redraw = (): void => setDark(scheme.matches);
    scheme.addEventListener('change', redraw);
    return () => {
      scheme.removeEventListener('change', redraw);
      resized.disconnect();
      made.destroy();
    };
  }, [spanS, kind, height, isDark]);
  useEffect(() => plot.current?.setData(dataOf()), [points]);
  const totals = series.map((one) => {
    const numbers = points.map((point) => point[one] ?? 0);
    if (one === 'waiting') return `${numbers.at(-1) ?? 0} waiting now`;
    if (one === 'p95') return `p95 at most ${Math.max(...numbers)} ms`;
    return `${numbers.reduce((sum, n) => sum + n, 0)} ${one}`;
  });
  const name = `${totals.join(', ')} in the last ${span}`;
  return <div ref={ref} class={onPick === undefined ? 'plot' : 'plot picked'} role="img" aria-label={name} />;
}

type Measures = Pick<PlotProps, 'spanS' | 'stepS' | 'height'>;

function options(element: Element, series: readonly Series[], { spanS, stepS, height }: Measures): uPlot.Options {
  const colour = (name: string) => () => getComputedStyle(element).getPropertyValue(name);
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.8, 40], align: 1 });
  return {
    width: element.clientWidth,
    height,
    cursor: {
      y: false,
      drag: { x: false, y: false },
      // A bar is right of its time.
      dataIdx: ({ data: [times] }, _, nearest, atS) => Math.max(0, (times[nearest] ?? 0) > atS ? nearest - 1 : nearest),
    },
    legend: { live: true },
    scales: {
      x: {
        range: () => [Math.floor(Date.now() / 1000 / stepS) * stepS - spanS, Date.now() / 1000],
      },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] },
    },
    axes: [
      { ...axis, size: 26, gap: 4, space: 80, values: (_, splits) => splits.map((at) => clock(at, spanS)) },
      {
        ...axis,
        size: 56,
        space: 24,
        values: (_, splits) => splits.map((n) => (Number.isInteger(n) ? shownCount(n) : '')),
      },
    ],
    series: [
      { label: 'From', value: (_, at) => (at === null ? '–' : clock(at, spanS)) },
      ...series.map((one): uPlot.Series => ({
        label: one === 'p95' ? 'p95, ms' : one,
        stroke: colour(`--${one}`),
        fill: colour(`--${one}-fill`),
        width: 1,
        points: { show: false },
        value: (plot, n, i, at) => {
          if (at === null || at === undefined) return '–';
          // The bar of failures begins below the deliveries.
          const below = one === 'failed' && n !== null ? (plot.data[i + 1]?.[at] ?? 0) : 0;
          return shownCount((n ?? 0) - below);
        },
        ...(bars === undefined ? {} : { paths: bars }),
      })),
    ],
  };
}

/** A time; in a span of more than a day, with its day. */
function clock(atS: number, spanS: number): string {
  const day = spanS > STEPS.day.spanS ? ({ month: 'short', day: 'numeric' } as const) : {};
  return new Date(atS * 1000).toLocaleString(undefined, { ...day, hour: '2-digit', minute: '2-digit', hour12: false });
}
