import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { LastHour } from '../client/jobs/job-list.ts';
import type { JobTrend, TrendPoint } from '../contract/job-status.ts';
import { shownCount } from '../domain/shown.ts';
import { Head } from './parts.tsx';
import { clockTime, utc } from './words.ts';

const SPARK = { width: 120, height: 22 };
const MINUTES = 60;

/** Deliveries minute by minute as a row of bars, with failures in front of them; the newest is at the right. */
export function Spark({ hour: { delivered, failed } }: { readonly hour: LastHour }): JSX.Element {
  const most = Math.max(1, ...delivered, ...failed);
  const step = SPARK.width / MINUTES;
  const from = SPARK.width - delivered.length * step;
  // One path for all bars of a kind: a page has hundreds of rows.
  const bars = (counts: readonly number[]): string =>
    counts
      .flatMap((count, i) => {
        if (count === 0) return [];
        const height = Math.max(1.5, (count / most) * (SPARK.height - 1)).toFixed(1);
        return [`M${(from + (i + 0.5) * step).toFixed(1)} ${SPARK.height}v-${height}`];
      })
      .join('');
  const sum = (counts: readonly number[]): string => shownCount(counts.reduce((total, count) => total + count, 0));
  const label = `${sum(delivered)} delivered, ${sum(failed)} failed`;
  return (
    <svg {...SPARK} viewBox={`0 0 ${SPARK.width} ${SPARK.height}`} class="spark" role="img" aria-label={label}>
      <title>{label}</title>
      <path d={`M0 ${SPARK.height - 0.5}H${SPARK.width}`} class="base" />
      <path d={bars(delivered)} class="delivered" />
      <path d={bars(failed)} class="failed" />
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
        <div class="choice" role="group" aria-label="Span">
          {(['hour', 'day'] as const).map((one) => (
            <button type="button" key={one} aria-pressed={one === span} onClick={() => setSpan(one)}>
              {one}
            </button>
          ))}
          <button type="button" aria-pressed={isTable} onClick={() => setTable(!isTable)}>
            table
          </button>
        </div>
      </header>
      {points.length === 0 ? (
        <p class="quiet">No activity yet.</p>
      ) : isTable ? (
        <TrendTable points={points} />
      ) : (
        <>
          <Plot points={points} series={['delivered', 'failed']} span={span} height={150} />
          <Plot points={points} series={['waiting']} span={span} height={100} />
        </>
      )}
    </section>
  );
}

function TrendTable({ points }: { readonly points: readonly TrendPoint[] }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Numbers">
      <table>
        <Head
          columns={['From', 'Delivered', 'Failed attempts', 'Waiting at the end']}
          numbers={['Delivered', 'Failed attempts', 'Waiting at the end']}
        />
        <tbody>
          {points.toReversed().map(({ at, delivered, failed, waiting }) => (
            <tr key={at}>
              <td>
                <time dateTime={at} title={utc(at)}>
                  {clockTime(at, Date.now())}
                </time>
              </td>
              <td class="number">{shownCount(delivered)}</td>
              <td class="number">{shownCount(failed)}</td>
              <td class="number">{shownCount(waiting)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

type Series = 'delivered' | 'failed' | 'waiting';

interface PlotProps {
  readonly points: readonly TrendPoint[];
  readonly series: readonly Series[];
  readonly span: 'hour' | 'day';
  readonly height: number;
}

const SPAN_S = { hour: 3600, day: 86_400 };
const STEP_S = { hour: 60, day: 900 };

function Plot({ points, series, span, height }: PlotProps): JSX.Element {
  const ref = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dataOf = (): uPlot.AlignedData => [
    points.map(({ at }) => Date.parse(at) / 1000),
    // Zero gets no bar, not even a flat one.
    ...series.map((one) => points.map((point) => point[one] || null)),
  ];
  const kind = series.join(' ');
  useEffect(() => {
    const { current } = ref;
    if (current === null) return undefined;
    const made = new uPlot(options(current, kind.split(' ') as Series[], span, height), dataOf(), current);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height }));
    resized.observe(current);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const redraw = (): void => made.redraw();
    scheme.addEventListener('change', redraw);
    return () => {
      scheme.removeEventListener('change', redraw);
      resized.disconnect();
      made.destroy();
    };
  }, [span, kind, height]);
  useEffect(() => plot.current?.setData(dataOf()), [points]);
  const sum = (one: Series): number => points.reduce((total, point) => total + point[one], 0);
  const totals = series.map((one) =>
    one === 'waiting' ? `${points.at(-1)?.waiting ?? 0} waiting now` : `${sum(one)} ${one}`,
  );
  return <div ref={ref} class="plot" role="img" aria-label={`${totals.join(', ')} in the last ${span}`} />;
}

function options(element: Element, series: readonly Series[], span: 'hour' | 'day', height: number): uPlot.Options {
  const colour = (name: string) => () => getComputedStyle(element).getPropertyValue(name);
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.8, 40], align: 1 });
  return {
    width: element.clientWidth,
    height,
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    scales: {
      x: {
        range: () => [Math.floor(Date.now() / 1000 / STEP_S[span]) * STEP_S[span] - SPAN_S[span], Date.now() / 1000],
      },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] },
    },
    axes: [
      { ...axis, size: 26, gap: 4, space: 80, values: (_, splits) => splits.map((at) => clock(at)) },
      {
        ...axis,
        size: 56,
        space: 24,
        values: (_, splits) => splits.map((n) => (Number.isInteger(n) ? shownCount(n) : '')),
      },
    ],
    series: [
      { label: 'From', value: (_, at) => (at === null ? '–' : clock(at)) },
      ...series.map((one): uPlot.Series => ({
        label: one,
        stroke: colour(`--${one}`),
        fill: colour(`--${one}-fill`),
        width: 1,
        points: { show: false },
        value: (_, n, __, at) => (at === null || at === undefined ? '–' : shownCount(n ?? 0)),
        ...(bars === undefined ? {} : { paths: bars }),
      })),
    ],
  };
}

function clock(atS: number): string {
  return new Date(atS * 1000).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
}
