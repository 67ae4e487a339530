import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import type { AuditEntry, DeedPage, LoggedDeed } from '../../contract/audit.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { ALIKE, deedInWords, targetInWords } from '../../domain/audit-words.ts';
import { JobLink, NoLog } from '../about.tsx';
import { pathOf, useFetched } from '../api.ts';
import { Clipped, Head, Loading, Time, Unanswered, usePageTitle } from '../parts.tsx';

const HISTORY_MS = 5_000;
const MOST_ENTRIES = 500;

/** Who did what to a job, and why. */
export function History({ status: { jobId } }: { readonly status: JobStatus }): JSX.Element {
  const fetched = useFetched<{ entries: AuditEntry[] }>(pathOf(['jobs', jobId, 'history']), HISTORY_MS);
  const { value, failure } = fetched;
  return (
    <section class="panel" aria-labelledby="history">
      <header>
        <h2 id="history">History</h2>
        <a href={`/history?job=${encodeURIComponent(jobId)}`}>Everything in the delivery log</a>
      </header>
      <Unanswered fetched={fetched} />
      {value === undefined && failure === undefined && <Loading what="the history" />}
      {value !== undefined && <Entries entries={value.entries} />}
    </section>
  );
}

/** Who did what to everything, by the delivery log; or to the job that the page's address names. */
export function HistoryPage(): JSX.Element {
  const { job: jobId, who } = useLocation().query;
  const title = jobId === undefined ? 'History' : `History of ${jobId}`;
  usePageTitle(title);
  const fetched = useFetched<DeedPage>(pathOf(['history'], { jobId, who, limit: MOST_ENTRIES }));
  const { value, failure } = fetched;
  if (failure?.code === 'NoDeliveryLog') return <NoLog />;
  return (
    <>
      <div class="page-head">
        <h1>
          <Clipped text={title} most={80} />
        </h1>
      </div>
      <Unanswered fetched={fetched} />
      {value === undefined && failure === undefined && <Loading what="the history" />}
      {value !== undefined && <Entries entries={value.entries} />}
      {value?.next !== undefined && <p>These are the newest {MOST_ENTRIES}.</p>}
    </>
  );
}

function Entries({ entries }: { readonly entries: readonly (AuditEntry | LoggedDeed)[] }): JSX.Element {
  const on = entries.some((entry) => 'kind' in entry) ? ['On'] : [];
  return (
    <div class="table-wrap">
      <table class="lines">
        <Head columns={['At', 'Who', 'Door', ...on, 'What', 'Why']} />
        <tbody>
          {entries.map((entry, i) => (
            <Row key={i} entry={entry} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ entry }: { readonly entry: AuditEntry | LoggedDeed }): JSX.Element {
  const { at, who, door, reason, changes = [] } = entry;
  return (
    <tr>
      <td data-name="At">
        <Time at={at} />
      </td>
      <td data-name="Who">
        {who === undefined ? <span class="quiet">unknown</span> : <Clipped text={who} most={60} />}
      </td>
      <td data-name="Door">{door}</td>
      {'kind' in entry && (
        <td data-name="On">
          {entry.kind === 'job' ? <JobLink jobId={entry.target} /> : <Clipped text={targetInWords(entry)} most={60} />}
        </td>
      )}
      <td data-name="What">
        {deedInWords(entry)}
        {changes.map(({ field, from, to }) => (
          <div key={field}>
            <span class="id">{field}</span> <Value value={from} /> → <Value value={to} />
            {JSON.stringify(from) === JSON.stringify(to) && <span class="quiet">{ALIKE}</span>}
          </div>
        ))}
      </td>
      <td data-name="Why">{reason !== undefined && <Clipped text={reason} most={160} />}</td>
    </tr>
  );
}

function Value({ value }: { readonly value: unknown }): JSX.Element {
  return <Clipped text={typeof value === 'string' ? value : JSON.stringify(value)} most={120} />;
}
