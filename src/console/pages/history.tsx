import type { JSX } from 'preact';
import type { AuditEntry } from '../../contract/audit.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { ALIKE, deedInWords } from '../../domain/audit-words.ts';
import { pathOf, useFetched } from '../api.ts';
import { Clipped, Head, Loading, Time, Unanswered } from '../parts.tsx';

const HISTORY_MS = 5_000;

/** Who did what to a job, and why. */
export function History({ status: { jobId } }: { readonly status: JobStatus }): JSX.Element {
  const fetched = useFetched<{ entries: AuditEntry[] }>(pathOf(['jobs', jobId, 'history']), HISTORY_MS);
  const { value, failure } = fetched;
  return (
    <section class="panel" aria-labelledby="history">
      <header>
        <h2 id="history">History</h2>
      </header>
      <Unanswered fetched={fetched} />
      {value === undefined && failure === undefined && <Loading what="the history" />}
      {value !== undefined && (
        <div class="table-wrap">
          <table class="lines">
            <Head columns={['At', 'Who', 'Door', 'What', 'Why']} />
            <tbody>
              {value.entries.map((entry) => (
                <Row key={entry.n} entry={entry} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ entry }: { readonly entry: AuditEntry }): JSX.Element {
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
