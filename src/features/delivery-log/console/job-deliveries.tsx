import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useRef, useState } from 'preact/hooks';
import type { DeliveryStats } from '../delivery.ts';
import { shownCount } from '../../../domain/text.ts';
import { failureInWords } from '../../../domain/verdict.ts';
import { failureNamed } from '../searched-verdicts.ts';
import { pathOf, useFetched } from '../../../console/api.ts';
import { Choice, type Figure, FigureList, Unanswered } from '../../../console/parts.tsx';
import { Plot, StepTable } from '../../../console/plots.tsx';

const STATS_MS = 30_000;
const DAY_S = 86_400;
/** At most so many kinds of failure are named. */
const MOST_KINDS = 12;

const SPANS = {
  '1 h': { spanS: 3_600, stepS: 60 },
  '24 h': { spanS: DAY_S, stepS: 900 },
  '7 d': { spanS: 7 * DAY_S, stepS: 7_200 },
  '30 d': { spanS: 30 * DAY_S, stepS: DAY_S / 4 },
};
type Span = keyof typeof SPANS;

/** A job's counts in the delivery log; without a log, nothing. A number or a bar leads to its deliveries. */
export function JobDeliveries({ job }: { readonly job: string }): JSX.Element | null {
  const { route } = useLocation();
  const [span, setSpan] = useState<Span>('24 h');
  const [isTable, setTable] = useState(false);
  const wasAnswered = useRef(false);
  const { spanS, stepS } = SPANS[span];
  const since = (): string => `&since=${new Date(Date.now() - spanS * 1000).toISOString()}`;
  const stats = useFetched<DeliveryStats>(pathOf(['stats'], { jobId: job, step: stepS }), STATS_MS, since);
  const { value, failure } = stats;
  wasAnswered.current ||= value !== undefined;
  if (failure?.code === 'NoDeliveryLog' || !(wasAnswered.current || failure)) return null;
  const of = (filter: Record<string, string>): string =>
    `/deliveries?${new URLSearchParams({ job, since: value?.since ?? '', ...filter }).toString()}`;
  const ofStep = (at: Date): string =>
    of({ since: at.toISOString(), until: new Date(at.getTime() + stepS * 1000).toISOString() });
  const points = value === undefined ? [] : allSteps(value);
  const plot = { points, span, spanS, stepS, onPick: (at: Date) => route(ofStep(at)) };
  return (
    <section class="trend" aria-labelledby="deliveries">
      <header>
        <h2 id="deliveries">Deliveries, the last {span}</h2>
        <Choice label="Span of deliveries" of={Object.keys(SPANS) as Span[]} chosen={span} choose={setSpan}>
          <button type="button" aria-pressed={isTable} onClick={() => setTable(!isTable)}>
            table
          </button>
        </Choice>
      </header>
      <Unanswered fetched={stats} what="the delivery log" />
      {value !== undefined && (
        <>
          <Totals total={value.total} of={of} />
          {isTable ? (
            <StepTable
              names={['Delivered', 'Failed', '95 % within, ms']}
              steps={points.flatMap(({ at, delivered, failed, p95 }) =>
                delivered + failed === 0 ? [] : [{ at, numbers: [delivered, failed, p95], href: ofStep(new Date(at)) }],
              )}
            />
          ) : (
            <>
              <Plot {...plot} series={['delivered', 'failed']} height={150} />
              <Plot {...plot} series={['p95']} height={100} />
            </>
          )}
        </>
      )}
    </section>
  );
}

interface Step {
  readonly at: string;
  readonly delivered: number;
  readonly failed: number;
  readonly p95: number;
}

/** The steps without attempts, too. */
function allSteps({ since, until, stepSeconds, points }: DeliveryStats): Step[] {
  const byTime = new Map(points.map((point) => [Date.parse(point.at), point]));
  const stepMs = stepSeconds * 1000;
  const first = Math.floor(Date.parse(since) / stepMs) * stepMs;
  return Array.from({ length: Math.ceil((Date.parse(until) - first) / stepMs) }, (_, i) => {
    const { delivered = 0, failed = 0, p95Ms = 0 } = byTime.get(first + i * stepMs) ?? {};
    return { at: new Date(first + i * stepMs).toISOString(), delivered, failed, p95: p95Ms };
  });
}

type Link = (filter: Record<string, string>) => string;

function Totals({ total, of }: { readonly total: DeliveryStats['total']; readonly of: Link }): JSX.Element {
  const kinds = Object.entries(total.failedBy).sort(([, one], [, other]) => other - one);
  const figures: Figure[] = [
    ['delivered', shownCount(total.delivered), of({ verdict: 'delivered' })],
    ['failed', shownCount(total.failed), of({ verdict: 'failed' })],
    ...kinds.slice(0, MOST_KINDS).map(([kind, count]): Figure => {
      const failure = failureNamed(kind);
      return [
        failureInWords(failure),
        shownCount(count),
        of({ verdict: 'failed', ['status' in failure ? 'status' : 'code']: kind }),
      ];
    }),
    ['95 % within', total.p95Ms === undefined ? '–' : `${shownCount(total.p95Ms)} ms`],
  ];
  return <FigureList figures={figures} />;
}
