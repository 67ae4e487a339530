import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { WatchSummary } from '../../client/watches.ts';
import type { WatchStatus } from '../../contract/watch.ts';
import { counted, duration, printable, shownCount } from '../../domain/shown.ts';
import { pathOf } from '../api.ts';
import { useFetched } from '../fetched.ts';
import { Command, Empty, Loading, Clipped, State, Time, Unanswered } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { WatchDeeds, WatchForm } from './watch-actions.tsx';

const LIST_MS = 5000;

/** What is watched, how that goes, and what can be done about it. */
export function Watches(): JSX.Element {
  const list = useFetched<{ watches: WatchSummary[] }>(pathOf(['watches']), LIST_MS);
  const { value, failure, again } = list;
  const watches = value?.watches;
  const { mayOperate, jobs } = useSession();
  const [isBeginning, setBeginning] = useState(false);
  // What a watch finds is told to every job that listens.
  const mayWatch = mayOperate && jobs === undefined;
  return (
    <section class="panel" aria-labelledby="watches">
      <header>
        <h2 id="watches">Watches</h2>
        {mayWatch && (
          <button type="button" onClick={() => setBeginning(true)}>
            Watch an audience
          </button>
        )}
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
                {mayWatch && <th scope="col">What to do</th>}
              </tr>
            </thead>
            <tbody>
              {watches.map((watch) => (
                <Watch key={watch.audience.id} watch={watch} onDone={again} mayWatch={mayWatch} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {isBeginning && <WatchForm onDone={again} onClose={() => setBeginning(false)} />}
    </section>
  );
}

interface WatchProps {
  readonly watch: WatchSummary;
  readonly mayWatch: boolean;
  readonly onDone: () => void;
}

function Watch({ watch: { audience, status, unreadable }, mayWatch, onDone }: WatchProps): JSX.Element {
  return (
    <tr>
      <td data-name="Audience">
        <bdi>{printable(audience.name)}</bdi> <bdi class="tag">{printable(audience.slug)}</bdi>
      </td>
      <td data-name="State">
        {status === undefined ? <State state="unknown" /> : <State state={status.state} />}
        {trouble(status, unreadable) !== undefined && (
          <p class="hint caution">
            <Clipped text={trouble(status, unreadable) ?? ''} />
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
          <span>
            <Time at={status.last.at} />
            <span class="quiet">
              , {counted(status.last.enters, 'enter')}, {counted(status.last.exits, 'exit')}, to{' '}
              {counted(status.last.told.jobs, 'job')}
            </span>
          </span>
        )}
      </td>
      <td data-name="Every">{status === undefined ? '' : duration(status.everyMs)}</td>
      {mayWatch && <td data-name="">{status !== undefined && <WatchDeeds status={status} onDone={onDone} />}</td>}
    </tr>
  );
}

/** What is wrong with a watch, or has to be decided. */
function trouble(status: WatchStatus | undefined, unreadable: string | undefined): string | undefined {
  if (status === undefined) return unreadable ?? 'No worker answers for it.';
  const { held, missed, last } = status;
  if (status.trouble !== undefined) return status.trouble.reason;
  if (held !== undefined)
    return `${counted(held.exits, 'member')} would leave at once, and ${shownCount(held.members)} remain: the next round shows whether that is so.`;
  if (missed !== undefined)
    return `A snapshot was lost: what changed from ${missed.from} to ${missed.to} was told to nobody.`;
  const absent = last?.told.absent ?? [];
  if (absent.length > 0) return `Not running, and told when they are: ${absent.join(', ')}`;
  const lost = last?.told.lost ?? [];
  return lost.length > 0
    ? `Cannot be told any more what they missed: ${lost.map(({ jobId }) => jobId).join(', ')}`
    : undefined;
}
