import type { JSX } from 'preact';
import type { WatchSummary } from '../../client/watches.ts';
import type { WatchStatus } from '../../contract/watch.ts';
import { counted, duration, printable, shownCount } from '../../domain/shown.ts';
import { pathOf } from '../api.ts';
import { useAsked } from '../asked.ts';
import { Command, Empty, Loading, Said, State, Time, Unanswered } from '../parts.tsx';
import { usePageTitle } from '../title.ts';

const LIST_MS = 5000;

/** An ingest, and what came to it. */
interface ListedIngest {
  readonly name: string;
  readonly preset?: string;
  readonly path: string;
  readonly proof: readonly string[];
  readonly requests: Readonly<Record<'taken' | 'repeated' | 'refused' | 'unproved' | 'unavailable', number>>;
  readonly triggers: Readonly<Record<'accepted' | 'refused' | 'unheard' | 'ignored', number>>;
  readonly lastAt?: string;
  readonly lastRefusal?: { readonly at: string; readonly reason: string };
}

/** How changes come in: what is watched, and who sends. */
export function InputsPage(): JSX.Element {
  usePageTitle('Inputs');
  return (
    <>
      <div class="page-head">
        <h1>Inputs</h1>
      </div>
      <Watches />
      <Ingests />
      <section class="panel" aria-labelledby="consumers">
        <header>
          <h2 id="consumers">Consumers, and programs</h2>
        </header>
        <p>
          Consumers of Kafka and of an outbox are processes of their own, and say in their own log and metrics how they
          are doing. Programs send triggers to <code>POST /v1/triggers</code>: <a href="/docs">the HTTP API</a>.
        </p>
      </section>
    </>
  );
}

function Watches(): JSX.Element {
  const list = useAsked<{ watches: WatchSummary[] }>(pathOf(['watches']), LIST_MS);
  const { value, failure } = list;
  const watches = value?.watches;
  return (
    <section class="panel" aria-labelledby="watches">
      <header>
        <h2 id="watches">Watches</h2>
      </header>
      <Unanswered asked={list} />
      {watches === undefined && failure === undefined && <Loading what="watches" />}
      {watches?.length === 0 && (
        <Empty title="No audience is watched">
          <p>A watch finds the changes of an audience whose source tells nobody of them, by looking again and again.</p>
          <Command>triggers watch AUDIENCE --every 5m</Command>
        </Empty>
      )}
      {watches !== undefined && watches.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="watches">
          <table class="cards">
            <thead>
              <tr>
                <th scope="col">Audience</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Members
                </th>
                <th scope="col" class="number">
                  Told: enters
                </th>
                <th scope="col" class="number">
                  exits
                </th>
                <th scope="col">Last round</th>
                <th scope="col">Every</th>
              </tr>
            </thead>
            <tbody>
              {watches.map((watch) => (
                <Watch key={watch.audience.id} watch={watch} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Watch({ watch: { audience, status, unreadable } }: { readonly watch: WatchSummary }): JSX.Element {
  return (
    <tr>
      <td data-name="Audience">
        <bdi>{printable(audience.name)}</bdi> <bdi class="tag">{printable(audience.slug)}</bdi>
      </td>
      <td data-name="State">
        {status === undefined ? <State state="unknown" /> : <State state={status.state} />}
        {trouble(status, unreadable) !== undefined && (
          <p class="hint caution">
            <Said text={trouble(status, unreadable) ?? ''} />
          </p>
        )}
      </td>
      <td data-name="Members" class="number">
        {status?.members === undefined ? '' : shownCount(status.members)}
      </td>
      <td data-name="Enters" class="number">
        {status === undefined ? '' : shownCount(status.enters)}
      </td>
      <td data-name="Exits" class="number">
        {status === undefined ? '' : shownCount(status.exits)}
      </td>
      <td data-name="Last round">
        {status?.last !== undefined && (
          <>
            <Time at={status.last.at} />
            <span class="quiet">
              , {counted(status.last.enters, 'enter')}, {counted(status.last.exits, 'exit')}, to{' '}
              {counted(status.last.told.jobs, 'job')}
            </span>
          </>
        )}
      </td>
      <td data-name="Every">{status === undefined ? '' : duration(status.everyMs)}</td>
    </tr>
  );
}

/** What is wrong with a watch, or has to be decided. */
function trouble(status: WatchStatus | undefined, unreadable: string | undefined): string | undefined {
  if (status === undefined) return unreadable ?? 'No worker answers for it.';
  const { held, missed, last } = status;
  if (status.trouble !== undefined) return status.trouble.reason;
  if (held !== undefined)
    return `${counted(held.exits, 'member')} of ${shownCount(held.members)} would leave at once: the next round shows whether that is so.`;
  if (missed !== undefined)
    return `A snapshot was lost: what changed from ${missed.from} to ${missed.to} was told to nobody.`;
  const absent = last?.told.absent ?? [];
  if (absent.length > 0) return `Not running, and told when they are: ${absent.join(', ')}`;
  const lost = last?.told.lost ?? [];
  return lost.length > 0
    ? `Cannot be told any more what they missed: ${lost.map(({ jobId }) => jobId).join(', ')}`
    : undefined;
}

function Ingests(): JSX.Element {
  const list = useAsked<{ since: string; ingests: ListedIngest[] }>(pathOf(['ingests']), LIST_MS);
  const { value, failure } = list;
  const ingests = value?.ingests;
  return (
    <section class="panel" aria-labelledby="ingests">
      <header>
        <h2 id="ingests">Ingests</h2>
        {value !== undefined && ingests?.length !== 0 && (
          <span class="quiet small">
            counted since <Time at={value.since} />
          </span>
        )}
      </header>
      <Unanswered asked={list} />
      {ingests === undefined && failure === undefined && <Loading what="ingests" />}
      {ingests?.length === 0 && (
        <Empty title="No other system sends here">
          <p>
            An ingest takes what Segment, RudderStack, Lytics, Mixpanel, Hightouch, Census, PostHog or Customer.io send
            already. It is a few lines of the configuration: <code>"ingests"</code>.
          </p>
        </Empty>
      )}
      {ingests !== undefined && ingests.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="ingests">
          <table class="cards">
            <thead>
              <tr>
                <th scope="col">Ingest</th>
                <th scope="col">From</th>
                <th scope="col">Last request</th>
                <th scope="col" class="number">
                  Changes taken
                </th>
                <th scope="col" class="number">
                  heard by nobody
                </th>
                <th scope="col" class="number">
                  ignored
                </th>
                <th scope="col" class="number">
                  refused
                </th>
                <th scope="col">Last refusal</th>
              </tr>
            </thead>
            <tbody>
              {ingests.map((ingest) => (
                <Ingest key={ingest.name} ingest={ingest} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Ingest({ ingest }: { readonly ingest: ListedIngest }): JSX.Element {
  const { name, preset, path, proof, requests, triggers, lastAt, lastRefusal } = ingest;
  return (
    <tr>
      <td data-name="Ingest">
        <b>
          <bdi>{printable(name)}</bdi>
        </b>{' '}
        <code class="quiet">{path}</code>
      </td>
      <td data-name="From">
        {preset ?? 'expressions'}
        <span class={proof.length === 0 ? 'caution' : 'quiet'}>
          , {proof.length === 0 ? 'no proof' : proof.join(', ')}
        </span>
      </td>
      <td data-name="Last request">
        {lastAt === undefined ? <span class="quiet">none yet</span> : <Time at={lastAt} />}
      </td>
      <td data-name="Changes taken" class="number">
        {shownCount(triggers.accepted)}
      </td>
      <td data-name="heard by nobody" class="number">
        {shownCount(triggers.unheard)}
      </td>
      <td data-name="ignored" class="number">
        {shownCount(triggers.ignored)}
      </td>
      <td data-name="refused" class="number">
        {shownCount(triggers.refused + requests.refused + requests.unproved)}
      </td>
      <td data-name="Last refusal">
        {lastRefusal !== undefined && (
          <>
            <Said text={lastRefusal.reason} most={160} />{' '}
            <span class="quiet">
              <Time at={lastRefusal.at} />
            </span>
          </>
        )}
      </td>
    </tr>
  );
}
