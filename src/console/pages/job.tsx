import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Attempt } from '../../client/calls/attempt.ts';
import type { JobStatus, JobTrend } from '../../contract/job-status.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { hasStopped } from '../../domain/job-state.ts';
import { printable, shownCount } from '../../domain/text.ts';
import { backfillProgress, kindOfBackfill, settledOf, statusRows } from '../../words/status-rows.ts';
import { AttemptCells } from '../about.tsx';
import { pathOf, useFetched, useNow } from '../api.ts';
import {
  Choice,
  Clipped,
  type Figure,
  FigureList,
  Head,
  Failure,
  Loading,
  Progress,
  State,
  StateOfJob,
  Time,
  Unanswered,
  usePageTitle,
} from '../parts.tsx';
import { TrendPlots } from '../plots.tsx';
import { useSession } from '../session.tsx';
import { useSlots } from '../slots.ts';
import { ago, inLocalTime, jobSentence } from '../words.ts';
import { History } from './history.tsx';
import { BackfillActions, JobActions } from './job-actions.tsx';

const STATUS_MS = 1500;
const ATTEMPTS_MS = 3000;
const TREND_MS = 10_000;
/** A status older than this, in ms, is shown as old, even while the next request is pending. */
const OLD_MS = 5_000;

export function JobPage({ job = '' }: { readonly job?: string }): JSX.Element {
  const fetched = useFetched<JobStatus>(pathOf(['jobs', job]), STATUS_MS);
  const { value: status, answeredAtMs = 0, failure, again } = fetched;
  const isRunning = status !== undefined && !hasStopped(status.state);
  const { value: trend } = useFetched<JobTrend>(isRunning ? pathOf(['jobs', job, 'trend']) : undefined, TREND_MS);
  usePageTitle(status?.label ?? job);
  const now = useNow();
  const { jobPanels } = useSlots();
  if (status === undefined)
    return (
      <>
        <h1 class="page-head">{printable(job)}</h1>
        {failure === undefined ? <Loading what="the job" /> : <Failure failure={failure} retry={again} />}
      </>
    );
  const isOld = failure !== undefined || now - answeredAtMs > OLD_MS;
  const isUnhealthy = status.endpoint?.state === 'unhealthy';
  return (
    <div class={isOld ? 'old' : ''}>
      <p class="quiet small">
        <a href="/">Jobs</a> / <span class="id">{printable(job)}</span>
      </p>
      <div class="page-head">
        <div>
          <h1>
            <bdi>{printable(status.label)}</bdi> <StateOfJob state={status.state} endpoint={status.endpoint?.state} />
          </h1>
        </div>
        <JobActions status={status} onDone={again} />
      </div>
      {status.description !== undefined && (
        <p class="quiet">
          <Clipped text={status.description} />
        </p>
      )}
      <p class={`sentence ${isUnhealthy ? 'bad' : ''}`} aria-live="polite">
        {jobSentence(status, now)}
      </p>
      <Unanswered fetched={fetched} />
      {isOld && failure === undefined && (
        <p class="notice caution" role="status">
          No answer since <Time at={new Date(answeredAtMs).toISOString()} clock />: Temporal, or a worker, may be away.
        </p>
      )}
      <Notices status={status} />
      <Backfill status={status} onDone={again} />
      <Figures status={status} />
      {trend !== undefined && <TrendPlots trend={trend} />}
      {jobPanels.map((Panel, i) => (
        <Panel key={`${job} ${i}`} job={job} />
      ))}
      <div class="columns">
        <Attempts job={job} hasSent={status.delivered + status.retried > 0} isShownAbove={failure !== undefined} />
        <Facts status={status} />
      </div>
      <History status={status} />
    </div>
  );
}

function Notices({ status }: { readonly status: JobStatus }): JSX.Element {
  const { endpoint, backfill, notices, problems = [] } = status;
  const texts = [
    ...(endpoint?.advice === undefined ? [] : [endpoint.advice]),
    ...(backfill?.notice === undefined ? [] : [backfill.notice]),
    ...(backfill?.trouble === undefined ? [] : [backfill.trouble]),
    ...notices,
    ...problems.map(({ field, message }) => `${field}: ${message}`),
  ];
  return (
    <>
      {texts.map((text) => (
        <div key={text} class="notice caution">
          <p>
            <Clipped text={text} />
          </p>
        </div>
      ))}
    </>
  );
}

function Backfill({ status, onDone }: { readonly status: JobStatus; readonly onDone: () => void }): JSX.Element | null {
  const now = useNow();
  const { backfill } = status;
  if (backfill === undefined) return null;
  const { expected } = backfill;
  const done = settledOf(backfill);
  const what = kindOfBackfill(backfill);
  return (
    <section class="panel" aria-labelledby="backfill">
      <header>
        <h2 id="backfill">{what === 'Backfill' ? 'Backfill of existing users' : what}</h2>
        <State state={backfill.state} />
      </header>
      <Progress done={done} of={expected} what={`${what}: ${done} of ${expected ?? 'an unknown number'}`} />
      <p class="hint">
        {inLocalTime(backfillProgress(backfill), now)}; requested <Time at={backfill.at} />
      </p>
      <BackfillActions status={status} onDone={onDone} />
    </section>
  );
}

function Figures({ status }: { readonly status: JobStatus }): JSX.Element {
  const {
    received,
    delivered,
    waiting,
    inFlight,
    parallelRequestCount,
    deadLettersWaiting = 0,
    ratePerSecond,
  } = status;
  const figures: Figure[] = [
    ['received', shownCount(received)],
    ['delivered', shownCount(delivered)],
    ['a second of late', String(ratePerSecond.oneMinute)],
    ['in flight', `${inFlight} of ${parallelRequestCount}`],
    ['waiting', shownCount(status.kept?.waiting ?? waiting)],
    [
      'dead letters',
      shownCount(deadLettersWaiting),
      `/dead-letters?job=${encodeURIComponent(status.jobId)}`,
      deadLettersWaiting > 0 ? 'bad' : '',
    ],
  ];
  return <FigureList figures={figures} />;
}

/** Rows about which another part of the page says more. */
const SHOWN_ELSEWHERE = new Set([
  'State',
  'Received',
  'Delivered',
  'Waiting',
  'In flight',
  'Dead letters',
  'Backfill',
  'Reconcile',
  '',
  'Notice',
]);

function Facts({ status }: { readonly status: JobStatus }): JSX.Element {
  const now = useNow();
  const { temporalWorkflowsUrl } = useSession();
  const sentence = jobSentence(status, now);
  const rows = statusRows(status, { time: (at) => ago(at, now) })
    .map((row) => ({ ...row, value: inLocalTime(row.value, now) }))
    .filter(({ name, value }) => !SHOWN_ELSEWHERE.has(name) && !(name === 'Why' && sentence.includes(value)));
  return (
    <section class="panel" aria-labelledby="facts">
      <header>
        <h2 id="facts">The job</h2>
      </header>
      <dl class="rows">
        {rows.map(({ name, value, tone }) => (
          <>
            <dt>{name}</dt>
            <dd class={tone === 'bad' || tone === 'caution' ? tone : ''}>
              <Clipped text={value} />
            </dd>
          </>
        ))}
        <dt>Revision</dt>
        <dd>{status.revision}</dd>
        {temporalWorkflowsUrl !== undefined && (
          <>
            <dt>Execution</dt>
            <dd>
              <a
                href={temporalWorkflowsUrl + encodeURIComponent(jobWorkflowId(status.jobId))}
                target="_blank"
                rel="noreferrer"
              >
                in the Temporal UI
              </a>
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

interface AttemptsProps {
  readonly job: string;
  /** It has sent something; the attempts come a moment later. */
  readonly hasSent: boolean;
  /** Whether the page already says that the API does not answer. */
  readonly isShownAbove: boolean;
}

function Attempts({ job, hasSent, isShownAbove }: AttemptsProps): JSX.Element {
  const [which, setWhich] = useState<'all' | 'failed'>('all');
  const isFailed = which === 'failed';
  const path = pathOf(['jobs', job, 'attempts'], { last: 25, failed: isFailed });
  const fetched = useFetched<{ attempts: Attempt[] }>(path, ATTEMPTS_MS);
  const { value, failure } = fetched;
  const attempts = value?.attempts.toReversed();
  return (
    <section class="panel" aria-labelledby="attempts">
      <header>
        <h2 id="attempts">Recent attempts</h2>
        <Choice label="Which attempts" of={['all', 'failed']} chosen={which} choose={setWhich} />
      </header>
      {!isShownAbove && <Unanswered fetched={fetched} />}
      {attempts === undefined && failure === undefined && <Loading what="attempts" />}
      {attempts?.length === 0 && (
        <p class="quiet">
          {isFailed
            ? 'No recent attempts failed.'
            : hasSent
              ? 'The last attempts appear here in a moment.'
              : 'Nothing sent yet. Attempts appear here as they start.'}
        </p>
      )}
      {attempts !== undefined && attempts.length > 0 && (
        <div class="table-wrap">
          <table class="lines">
            <Head columns={['At', 'Outcome', 'Person', 'Event', 'Answer']} />
            <tbody>
              {attempts.map((attempt) => (
                <tr key={`${attempt.runId}-${attempt.sliceId}-${attempt.deliveryId}`}>
                  <AttemptCells
                    {...attempt}
                    at={attempt.endedAt ?? attempt.startedAt}
                    state={attempt.verdict ?? attempt.outcome}
                  />
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
