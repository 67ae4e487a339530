import type { JSX } from 'preact';
import type { AuditEntry, LoggedDeed } from '../../contract/audit.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { ALIKE, deedInWords, targetInWords } from '../../words/audit.ts';
import { JobLink } from '../about.tsx';
import { pathOf, useFetched } from '../api.ts';
import { Clipped, Head, Time, Unanswered } from '../parts.tsx';

const HISTORY_MS = 5_000;

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

export function Entries({ entries }: { readonly entries: readonly (AuditEntry | LoggedDeed)[] }): JSX.Element {
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
