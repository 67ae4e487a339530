import type { JSX } from 'preact';
import { pathOf, useFetched } from '../../../console/api.ts';
import { Clipped, Empty, Head, Time, Unanswered } from '../../../console/parts.tsx';
import { useSession } from '../../../console/session.tsx';
import { printable, shownCount } from '../../../domain/text.ts';

const LIST_MS = 5000;

/** An ingest with its requests. */
interface ListedIngest {
  readonly name: string;
  readonly preset?: string;
  readonly path: string;
  readonly proof: readonly string[];
  readonly requests: Readonly<Record<'taken' | 'repeated' | 'refused' | 'unproved' | 'unavailable', number>>;
  readonly triggers: Readonly<Record<'accepted' | 'refused' | 'unmatched' | 'ignored', number>>;
  readonly lastAt?: string;
  readonly lastRefusal?: { readonly at: string; readonly reason: string };
}

/** The panel of ingests, with counts of their requests. A key for some jobs is not shown them. */
export function Ingests(): JSX.Element | null {
  const { jobs } = useSession();
  const isShown = jobs === undefined;
  const list = useFetched<{ since: string; ingests: ListedIngest[] }>(
    isShown ? pathOf(['ingests']) : undefined,
    LIST_MS,
  );
  const { value } = list;
  const ingests = value?.ingests;
  if (!isShown) return null;
  return (
    <section class="panel" aria-labelledby="ingests">
      <header>
        <h2 id="ingests">Ingests</h2>
        {value !== undefined && ingests?.length !== 0 && (
          <span class="quiet small">
            counted since <Time at={value.since} clock />
          </span>
        )}
      </header>
      <Unanswered fetched={list} what="ingests" />
      {ingests?.length === 0 && (
        <Empty title="No ingests">
          <p>
            An ingest accepts the webhooks that Segment, RudderStack, Lytics, Mixpanel, Hightouch, Census, PostHog or
            Customer.io already send. Add it to the configuration, under <code>"ingests"</code>.
          </p>
        </Empty>
      )}
      {ingests !== undefined && ingests.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="ingests">
          <table class="cards">
            <Head
              columns={[
                'Ingest',
                'From',
                'Last request',
                'Accepted',
                'Unmatched',
                'Ignored',
                'Refused',
                'Last refusal',
              ]}
              numbers={['Accepted', 'Unmatched', 'Ignored', 'Refused']}
            />
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
      <td data-name="Accepted" class="number">
        {shownCount(triggers.accepted)}
      </td>
      <td data-name="Unmatched" class="number">
        {shownCount(triggers.unmatched)}
      </td>
      <td data-name="Ignored" class="number">
        {shownCount(triggers.ignored)}
      </td>
      <td data-name="Refused" class="number">
        {shownCount(triggers.refused + requests.refused + requests.unproved)}
      </td>
      <td data-name="Last refusal">
        {lastRefusal !== undefined && (
          <>
            <Clipped text={lastRefusal.reason} most={160} />{' '}
            <span class="quiet">
              <Time at={lastRefusal.at} />
            </span>
          </>
        )}
      </td>
    </tr>
  );
}
