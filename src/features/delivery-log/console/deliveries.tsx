import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import type { DeliveryDetails, LogGap, DeliveryRow } from '../delivery.ts';
import { definedOf } from '../../../domain/json.ts';
import { gapsInWords } from '../gaps-in-words.ts';
import { shownCount } from '../../../domain/text.ts';
import { shellWord } from '../../../words/text.ts';
import { failureInWords, VERDICTS } from '../../../domain/verdict.ts';
import { SEARCHED_VERDICTS } from '../searched-verdicts.ts';
import { AttemptCells, JobLink, TriggerRows } from '../../../console/about.tsx';
import { ask, type Fetched, pathOf, useAction, useFetched, useStream } from '../../../console/api.ts';
import { type FilterField, Filters, TIME, useFilter } from '../../../console/filters.tsx';
import {
  Copy,
  Dialog,
  Empty,
  Failure,
  Head,
  Loading,
  ShowOlder,
  State,
  Time,
  Unanswered,
  usePageTitle,
} from '../../../console/parts.tsx';
import { useSession } from '../../../console/session.tsx';
import { curlOf } from '../../../console/words.ts';
import { Answer, Request } from '../../../console/message.tsx';
import { NoLog } from './no-log.tsx';

const PAGE_ROWS = 50;
/** At most so many new ones are kept while the page is open. */
const MOST_LIVE = 500;
const MOST_CSV = 1000;

/** The names are those of the API, but for the job. */
const FILTERS: readonly FilterField[] = [
  ['job', 'Job'],
  ['user', 'Person'],
  ['audience', 'Audience'],
  ['event', 'Event', ['enter', 'exit']],
  ['id', 'webhook-id'],
  ['verdict', 'Outcome', SEARCHED_VERDICTS],
  ['status', 'HTTP status', 'number'],
  ['code', 'Code'],
  ['slowerThan', 'Slower than, ms', 'number'],
  ['since', 'From', TIME],
  ['until', 'Until', TIME],
];

/** Every attempt that the delivery log has. */
export function DeliveriesPage(): JSX.Element {
  usePageTitle('Deliveries');
  const { open } = useLocation().query;
  const { filter, go } = useFilter(FILTERS);
  const [isLive, setLive] = useState(false);
  const csv = useAction();
  const { job: jobId, ...same } = filter;
  const path = (more: object, ...parts: string[]): string =>
    pathOf(['deliveries', ...parts], { jobId, ...same, ...more });
  const download = async (): Promise<void> => {
    const text = await ask<string>(path({ limit: MOST_CSV }), { accept: 'text/csv' });
    const url = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
    Object.assign(document.createElement('a'), { href: url, download: 'deliveries.csv' }).click();
    URL.revokeObjectURL(url);
  };
  const canBeLive = filter['until'] === undefined;
  const live = isLive && canBeLive ? path({ since: undefined }, 'stream') : undefined;
  const listPath = path({ limit: PAGE_ROWS });
  const list = useFetched<Page>(listPath);
  if (list.failure?.code === 'NoDeliveryLog') return <NoLog />;
  return (
    <>
      <div class="page-head">
        <h1>Deliveries</h1>
        <div class="buttons">
          <label class="option">
            <input
              type="checkbox"
              checked={live !== undefined}
              disabled={!canBeLive}
              onChange={() => setLive(!isLive)}
            />
            Show new ones live
          </label>
          <button type="button" disabled={csv.isBusy} onClick={() => void csv.run(download)}>
            CSV of the newest {shownCount(MOST_CSV)}
          </button>
        </div>
      </div>
      <Filters fields={FILTERS} filter={filter} find={go} />
      <Failure failure={csv.failure} />
      <Unanswered fetched={list} what="deliveries" />
      <Deliveries key={listPath} {...{ list, listPath, live }} open={(id) => go({ ...filter, open: id })} />
      {open !== undefined && <Attempts id={open} onClose={() => go(filter)} />}
    </>
  );
}

interface Page {
  readonly deliveries: readonly DeliveryRow[];
  /** In the time of this page and those before. */
  readonly gaps: readonly LogGap[];
  readonly next?: string;
}

interface DeliveriesProps {
  readonly list: Fetched<Page>;
  readonly listPath: string;
  /** The stream of new ones; undefined: they are not shown. */
  readonly live: string | undefined;
  readonly open: (deliveryId: string) => void;
}

function Deliveries({ list, listPath, live, open }: DeliveriesProps): JSX.Element {
  const [fresh, setFresh] = useState<readonly DeliveryRow[]>([]);
  const [older, setOlder] = useState<readonly Page[]>([]);
  useStream<DeliveryRow>(live, 'delivery', {
    onSome: (some) => setFresh((last) => [...some.toReversed(), ...last].slice(0, MOST_LIVE)),
    onBegin: () => {
      setFresh([]);
      setOlder([]);
      list.again();
    },
  });
  // Once so many came, those between them and the list are no longer known.
  const pages = list.value === undefined || fresh.length === MOST_LIVE ? [] : [list.value, ...older];
  const all = new Map([...fresh, ...pages.flatMap(({ deliveries }) => deliveries)].map((row) => [keyOf(row), row]));
  const rows = [...all].sort(([one], [other]) => (one < other ? 1 : -1));
  const { next, gaps = [] } = pages.at(-1) ?? {};
  const more = async (from: string): Promise<void> => {
    const page = await ask<Page>(`${listPath}&after=${encodeURIComponent(from)}`);
    setOlder((last) => [...last, page]);
  };
  return (
    <>
      {gaps.length > 0 && (
        <div class="notice caution" role="status">
          <p>{gapsInWords(gaps)}</p>
        </div>
      )}
      {next !== undefined && rows.length === 0 && <p>There is none in the newest part of the log.</p>}
      {list.value !== undefined && next === undefined && rows.length === 0 && (
        <Empty title="No such deliveries">
          <p>Each attempt to tell an endpoint about a person is listed here, with its answer.</p>
        </Empty>
      )}
      {rows.length > 0 && (
        <div class="table-wrap">
          <table class={list.failure === undefined ? 'lines' : 'lines old'}>
            <Head
              columns={['At', 'Outcome', 'Person', 'Event', 'Answer', 'Job', 'Attempt', 'More']}
              numbers={['Attempt']}
            />
            <tbody>
              {rows.map(([key, row]) => (
                <tr key={key}>
                  <AttemptCells {...row} {...outcomeOf(row)} />
                  <td data-name="Job">
                    <JobLink jobId={row.jobId} />
                  </td>
                  <td data-name="Attempts" class="number">
                    {row.attempt}
                  </td>
                  <td data-name="">
                    <button
                      type="button"
                      class="plain"
                      aria-label={`Show the delivery to ${row.user}`}
                      onClick={() => open(row.deliveryId)}
                    >
                      Show
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <ShowOlder next={next} show={more} />
    </>
  );
}

function keyOf({ at, deliveryId, attempt, sequence }: DeliveryRow): string {
  return `${at} ${deliveryId} ${attempt} ${sequence}`;
}

function outcomeOf({ verdict }: DeliveryRow): { readonly state: string; readonly tone: string } {
  if (verdict === 'superseded') return { state: verdict, tone: 'quiet' };
  return { state: verdict, tone: verdict === 'delivered' ? 'good' : VERDICTS[verdict].isShown ? 'bad' : 'quiet' };
}

/** The answer to a wish to send again; without a status, nothing is sent. */
interface Sent {
  readonly status?: object;
}

const NOT_SENT =
  'It is not sent again: the person was told something newer since, or the job no longer has the audience or event.';

/** All attempts of a delivery, with requests and answers. */
function Attempts({ id, onClose }: { readonly id: string; readonly onClose: () => void }): JSX.Element {
  const { value, failure } = useFetched<{ attempts: DeliveryDetails[] }>(pathOf(['deliveries', id]));
  const attempts = value?.attempts ?? [];
  const [first] = attempts;
  const { mayOperate } = useSession();
  const again = useAction();
  const [sent, setSent] = useState<Sent>();
  const sendAgain = async (): Promise<void> => {
    if (first === undefined) return;
    const path = pathOf(['jobs', first.jobId, 'replay']);
    await again.run(async () =>
      setSent(await ask<Sent>(path, { method: 'POST', body: { deliveryId: first.deliveryId } })),
    );
  };
  return (
    <Dialog
      title="A delivery"
      isWide
      failure={failure ?? again.failure}
      isBusy={again.isBusy}
      onClose={onClose}
      {...(mayOperate && attempts.some(({ verdict }) => verdict === 'delivered') && sent === undefined
        ? { action: 'Send again', onAction: () => void sendAgain() }
        : {})}
      command={`triggers deliveries show ${shellWord(id)}`}
    >
      {sent !== undefined && <p role="status">{sent.status === undefined ? NOT_SENT : 'It is being sent again.'}</p>}
      {value === undefined && failure === undefined && <Loading what="the delivery" />}
      {first !== undefined && (
        <dl class="rows">
          <TriggerRows {...first} at={first.triggerAt} />
        </dl>
      )}
      {attempts.map((one, i) => (
        <details key={keyOf(one)} class="attempt" open={i === attempts.length - 1}>
          <summary>
            Attempt {one.attempt} <State {...outcomeOf(one)} /> {failureInWords(definedOf(one))}{' '}
            <span class="quiet">
              {shownCount(one.durationMs)} ms, <Time at={one.at} clock />, {one.lane}
            </span>
          </summary>
          <div class="columns">
            <div>
              {one.request === undefined ? (
                <p class="quiet">{one.requestBytes > 0 ? 'The request was not kept.' : 'No request was made.'}</p>
              ) : (
                <>
                  <Request request={one.request} />
                  <Copy text={curlOf(one.request)}>Copy as curl, with … for each secret</Copy>
                </>
              )}
            </div>
            <Answer {...one} />
          </div>
        </details>
      ))}
    </Dialog>
  );
}
