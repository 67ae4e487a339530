import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import type { JobOverview } from '../../client/jobs/job-list.ts';
import { jobHasWords } from '../../words/text.ts';
import { counted, printable, shownCount } from '../../domain/text.ts';
import { failureInWords } from '../../domain/verdict.ts';
import { FoundWebhookId, Tag, WEBHOOK_ID } from '../about.tsx';
import { pathOf, useFetched, useSettled } from '../api.ts';
import { Age, Empty, Head, StateOfJob, Time, Unanswered, usePageTitle } from '../parts.tsx';
import { Spark } from '../plots.tsx';
import { useSession } from '../session.tsx';

const LIST_MS = 3000;
/** How many jobs the page requests, and how many it shows at first. A button shows more. */
const LISTED_JOBS = 500;
const SHOWN_JOBS = 100;

/** A job of the list, as JSON has it. */
type Listed = Omit<JobOverview, 'startedAt' | 'endedAt'>;

/** The first of the requested jobs. */
interface JobList {
  readonly jobs: Listed[];
  /** How many jobs are in each state, whatever state was requested. */
  readonly states: Readonly<Record<string, number>>;
  /** There are more. */
  readonly next?: string;
}

export function JobsPage(): JSX.Element {
  usePageTitle('Jobs');
  const { mayOperate } = useSession();
  const { query, route } = useLocation();
  const { state = '', text = '' } = query;
  const [shown, setShown] = useState(SHOWN_JOBS);
  const filter = (change: Record<string, string>): void => {
    const kept = Object.entries({ state, text, ...change }).filter(([, value]) => value !== '');
    const search = new URLSearchParams(kept);
    route(search.size === 0 ? '/' : `/?${search.toString()}`, true);
  };
  const { list, found, isSearching, isCut } = useJobs(state, text.trim());
  const { value, failure } = list;
  // The list comes at once; the state of each job takes a query to each.
  const { value: overview } = useFetched<{ jobs: Listed[] }>(pathOf(['overview']), LIST_MS);
  const numbers = new Map(overview?.jobs.map((job) => [job.jobId, job]));
  return (
    <>
      <div class="page-head">
        <h1>Jobs</h1>
        {mayOperate && (
          <a class="button primary" href="/new">
            New job
          </a>
        )}
      </div>
      <Unanswered fetched={list} what="jobs" />
      {value?.jobs.length === 0 && <NoJobs mayOperate={mayOperate} />}
      {value !== undefined && value.jobs.length > 0 && (
        <>
          <Filters states={value.states} state={state} text={text} filter={filter} />
          <FoundWebhookId text={text.trim()} />
          <div class="table-wrap">
            <table class={failure === undefined ? 'jobs' : 'jobs old'}>
              <Head
                columns={[
                  'State',
                  'Job',
                  'Audiences',
                  'Delivered, last hour',
                  'Waiting',
                  'Last failure',
                  'Oldest waiting',
                ]}
                numbers={['Waiting', 'Oldest waiting']}
              />
              <tbody>
                {found.slice(0, shown).map((job) => (
                  <Row key={job.jobId} job={{ ...numbers.get(job.jobId), ...job }} isKnown={numbers.has(job.jobId)} />
                ))}
              </tbody>
            </table>
          </div>
          {isSearching && <p class="quiet">Searching all jobs…</p>}
          {found.length === 0 && !isSearching && !WEBHOOK_ID.test(text.trim()) && (
            <p class="quiet">No matching jobs.</p>
          )}
          {found.length > shown && (
            <p class="quiet">
              These are {shown} of {found.length}.{' '}
              <button type="button" class="plain" onClick={() => setShown(shown + SHOWN_JOBS)}>
                Show more
              </button>
            </p>
          )}
          {isCut && <p class="quiet">More jobs exist: these are the first {LISTED_JOBS}. Search, or choose a state.</p>}
        </>
      )}
    </>
  );
}

/** The first jobs of all, and those of a state and with all words of a text. The server searches if the list is incomplete. */
function useJobs(state: string, text: string) {
  const list = useFetched<JobList>(pathOf(['jobs'], { limit: LISTED_JOBS }), LIST_MS);
  const isFiltered = state !== '' || text !== '';
  const asksServer = isFiltered && list.value?.next !== undefined;
  const path = pathOf(['jobs'], { limit: LISTED_JOBS, state, search: text });
  const settled = useSettled(path);
  const answer = useFetched<JobList>(asksServer ? settled : undefined, LIST_MS);
  const { jobs = [], next } = (asksServer ? answer.value : undefined) ?? list.value ?? {};
  const found = jobs.filter((job) => (state === '' || job.state === state) && jobHasWords(job, text));
  const isSearching = asksServer && answer.failure === undefined && (answer.value === undefined || settled !== path);
  return { list, found, isSearching, isCut: next !== undefined && !isSearching };
}

interface FiltersProps {
  readonly states: JobList['states'];
  readonly state: string;
  readonly text: string;
  readonly filter: (change: Record<string, string>) => void;
}

function Filters({ states, state, text, filter }: FiltersProps): JSX.Element {
  const counts = Object.entries(states);
  return (
    <div class="filters">
      <input
        type="search"
        aria-label="Search jobs by label, id or audience, or deliveries by webhook-id"
        placeholder="Label, id, audience or webhook-id"
        value={text}
        onInput={(event) => filter({ text: event.currentTarget.value })}
      />
      <div class="choice" role="group" aria-label="State">
        <button type="button" aria-pressed={state === ''} onClick={() => filter({ state: '' })}>
          all <span class="count">{counts.reduce((sum, [, count]) => sum + count, 0)}</span>
        </button>
        {counts.map(([one, count]) => (
          <button type="button" key={one} aria-pressed={state === one} onClick={() => filter({ state: one })}>
            {one} <span class="count">{count}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

function NoJobs({ mayOperate }: { readonly mayOperate: boolean }): JSX.Element {
  return (
    <Empty title="No export jobs yet">
      <p>A job sends a webhook to another company's system when a person enters or leaves an audience.</p>
      {mayOperate ? (
        <a class="button primary" href="/new">
          Create a job
        </a>
      ) : (
        <p>Your key can view jobs, but cannot start one.</p>
      )}
    </Empty>
  );
}

const SHOWN_AUDIENCES = 3;

/** One job, with its current numbers once they are known. */
function Row({ job, isKnown }: { readonly job: Listed; readonly isKnown: boolean }): JSX.Element {
  const { audiences = [], numbers, lastHour } = job;
  const isUnhealthy = numbers?.endpoint === 'unhealthy';
  const isSilent = job.running && numbers === undefined && isKnown && job.isNotAsked !== true;
  const waiting = numbers?.waiting ?? job.kept?.waiting;
  const { lastFailure, oldestWaitingAt, deadLettersWaiting = 0, deadLettersOfEarlierJobs = 0 } = numbers ?? {};
  return (
    <tr>
      <td data-name="State" class={isSilent ? 'old' : ''}>
        <StateOfJob state={job.state} endpoint={numbers?.endpoint} />
      </td>
      <td class="name" data-name="Job">
        <a href={`/jobs/${encodeURIComponent(job.jobId)}`}>
          <bdi>{printable((job.label ?? job.jobId).slice(0, 200))}</bdi>
        </a>
        <span class="quiet id">{printable(job.jobId)}</span>
      </td>
      <td data-name="Audiences" class="audiences">
        {audiences.slice(0, SHOWN_AUDIENCES).map(({ id, slug }) => (
          <Tag key={id} text={slug} />
        ))}
        {audiences.length > SHOWN_AUDIENCES && <span class="quiet">and {audiences.length - SHOWN_AUDIENCES} more</span>}
      </td>
      <td data-name="Delivered, last hour">
        {lastHour !== undefined && <Spark hour={lastHour} />}
        {job.running && numbers === undefined && (
          <span class="quiet">{!isKnown ? '…' : isSilent ? 'status unknown' : 'not asked, among so many'}</span>
        )}
      </td>
      <td data-name="Waiting" class="number">
        {waiting === undefined ? '' : shownCount(waiting)}
        {job.kept !== undefined && <span class="quiet"> kept</span>}
      </td>
      <td data-name="Last failure" class={isUnhealthy ? 'bad' : ''}>
        {lastFailure !== undefined && (
          <>
            {failureInWords(lastFailure)}{' '}
            <span class="quiet">
              <Time at={lastFailure.at} />
            </span>
          </>
        )}
        {deadLettersWaiting > 0 && (
          <a class="letters" href={`/dead-letters?job=${encodeURIComponent(job.jobId)}`}>
            {counted(deadLettersWaiting, 'dead letter')}
            {deadLettersOfEarlierJobs > 0 && ` (${shownCount(deadLettersOfEarlierJobs)} of an earlier job)`}
          </a>
        )}
      </td>
      <td data-name="Oldest waiting" class="number">
        {oldestWaitingAt !== undefined && <Age at={oldestWaitingAt} />}
      </td>
    </tr>
  );
}
