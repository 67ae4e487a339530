import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AuditEntry, DeedPage, LoggedDeed } from '../../contract/audit.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { ALIKE, deedInWords, targetInWords } from '../../words/audit.ts';
import { JobLink, NoLog } from '../about.tsx';
import { ask, pathOf, useFetched } from '../api.ts';
import { type FilterField, Filters, TIME, useFilter } from '../filters.tsx';
import { Clipped, Empty, Head, ShowOlder, Time, Unanswered, usePageTitle } from '../parts.tsx';

const HISTORY_MS = 5_000;
const PAGE_ENTRIES = 100;

/** The names are those of the API, but for the job. */
const FILTERS: readonly FilterField[] = [
  ['job', 'Job'],
  ['who', 'Who'],
  ['since', 'From', TIME],
  ['until', 'Until', TIME],
];

/** Who did what to a job, and why. */
export function History({ status: { jobId } }: { readonly status: JobStatus }): JSX.Element {
  const fetched = useFetched<{ entries: AuditEntry[] }>(pathOf(['jobs', jobId, 'history']), HISTORY_MS);
  const { value } = fetched;
  return (
    <section class="panel" aria-labelledby="history">
      <header>
        <h2 id="history">History</h2>
        <a href={`/history?job=${encodeURIComponent(jobId)}`}>Everything in the delivery log</a>
      </header>
      <Unanswered fetched={fetched} what="the history" />
      {value !== undefined && <Entries entries={value.entries} />}
    </section>
  );
}

/** Who did what to everything, by the delivery log. */
export function HistoryPage(): JSX.Element {
  const { filter, go } = useFilter(FILTERS);
  const { job: jobId, ...same } = filter;
  const title = jobId === undefined ? 'History' : `History of ${jobId}`;
  usePageTitle(title);
  const path = pathOf(['history'], { jobId, ...same, limit: PAGE_ENTRIES });
  const fetched = useFetched<DeedPage>(path);
  if (fetched.failure?.code === 'NoDeliveryLog') return <NoLog />;
  return (
    <>
      <div class="page-head">
        <h1>
          <Clipped text={title} most={80} />
        </h1>
      </div>
      <Filters fields={FILTERS} filter={filter} find={go} />
      <Unanswered fetched={fetched} what="the history" />
      {fetched.value !== undefined && <Pages key={path} first={fetched.value} path={path} />}
    </>
  );
}

/** The newest entries, and older ones as they are asked for. */
function Pages({ first, path }: { readonly first: DeedPage; readonly path: string }): JSX.Element {
  const [older, setOlder] = useState<readonly DeedPage[]>([]);
  const pages = [first, ...older];
  const entries = pages.flatMap((page) => page.entries);
  const more = async (next: string): Promise<void> => {
    const page = await ask<DeedPage>(`${path}&after=${encodeURIComponent(next)}`);
    setOlder((last) => [...last, page]);
  };
  return (
    <>
      {entries.length === 0 ? (
        <Empty title="No such entries">
          <p>Each change that somebody makes is listed here.</p>
        </Empty>
      ) : (
        <Entries entries={entries} />
      )}
      <ShowOlder next={pages.at(-1)?.next} show={more} />
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
