import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { DeedPage } from '../deeds.ts';
import { ask, pathOf, useFetched } from '../../../console/api.ts';
import { type FilterField, Filters, TIME, useFilter } from '../../../console/filters.tsx';
import { Entries } from '../../../console/pages/history.tsx';
import { Clipped, Empty, ShowOlder, Unanswered, usePageTitle } from '../../../console/parts.tsx';
import { NoLog } from './no-log.tsx';

const PAGE_ENTRIES = 100;

/** The names are those of the API, but for the job. */
const FILTERS: readonly FilterField[] = [
  ['job', 'Job'],
  ['who', 'Who'],
  ['since', 'From', TIME],
  ['until', 'Until', TIME],
];

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
