import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { WatchSummary } from '../watches.ts';
import type { WatchOptions, WatchStatus } from '../sandbox/watch.ts';
import { counted, duration, printable, shownCount } from '../../../domain/text.ts';
import { shellWord } from '../../../words/text.ts';
import { stopLoss, watchRows } from '../sandbox/rows.ts';
import { ask, pathOf, useAction, useFetched } from '../../../console/api.ts';
import {
  Clipped,
  Command,
  ActionDialog,
  Dialog,
  Empty,
  Head,
  State,
  Time,
  Unanswered,
} from '../../../console/parts.tsx';
import { useSession } from '../../../console/session.tsx';
import type { AudienceList } from '../../../contract/audience.ts';
import { LONGEST_WATCH_MS, readDuration, SHORTEST_WATCH_MS } from '../../../contract/duration.ts';
import { ago, spanWord } from '../../../console/words.ts';

const LIST_MS = 5000;

/** The panel of watches: their audiences, their state, and their actions. */
export function Watches(): JSX.Element {
  const list = useFetched<{ watches: WatchSummary[] }>(pathOf(['watches']), LIST_MS);
  const { value, again } = list;
  const watches = value?.watches;
  const { mayOperate, jobs } = useSession();
  const [isBeginning, setBeginning] = useState(false);
  // A watch's changes go to every job that subscribes.
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
      <Unanswered fetched={list} what="watches" />
      {watches?.length === 0 && (
        <Empty title="No watched audiences">
          <p>A watch polls an audience and publishes its changes, for sources that cannot report them.</p>
          <Command>triggers watch AUDIENCE --every 5m</Command>
        </Empty>
      )}
      {watches !== undefined && watches.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="watches">
          <table class="cards">
            <Head
              columns={[
                'Audience',
                'State',
                'Members',
                'Enters published',
                'Exits published',
                'Last round',
                'Every',
                ...(mayWatch ? ['Actions'] : []),
              ]}
              numbers={['Members', 'Enters published', 'Exits published']}
            />
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
              {counted(status.last.published.jobs, 'job')}
            </span>
          </span>
        )}
      </td>
      <td data-name="Every">{status === undefined ? '' : duration(status.everyMs)}</td>
      {mayWatch && <td data-name="">{status !== undefined && <WatchActions status={status} onDone={onDone} />}</td>}
    </tr>
  );
}

/** Why a watch has trouble, or needs a decision: the first of its rows that says so. */
function trouble(status: WatchStatus | undefined, unreadable: string | undefined): string | undefined {
  if (status === undefined) return unreadable ?? 'No worker answers for it.';
  const rows = watchRows(status, (at) => ago(at, Date.now()), 'use the button “Accept”');
  const row = rows.find(({ name, tone }) => name !== 'State' && tone !== undefined);
  return row && `${row.name}: ${row.value}`;
}

interface Done {
  /** Called when an action was done. */
  readonly onDone: () => void;
}

type WatchCommand = 'now' | 'accept' | 'stop';

const NAMES: Readonly<Record<WatchCommand | 'change', string>> = {
  accept: 'Accept',
  now: 'Start round',
  change: 'Change',
  stop: 'Stop',
};

/** The actions on a watch now. */
function WatchActions({ status, onDone }: Done & { readonly status: WatchStatus }): JSX.Element {
  const [open, setOpen] = useState<WatchCommand | 'change'>();
  const { slug } = status.audience;
  const close = (): void => setOpen(undefined);
  const actions = [...(status.held === undefined ? [] : (['accept'] as const)), 'now', 'change', 'stop'] as const;
  return (
    <div class="actions">
      {actions.map((action) => (
        <button
          type="button"
          class="plain"
          key={action}
          aria-label={`${NAMES[action]}: the watch of ${printable(slug)}`}
          onClick={() => setOpen(action)}
        >
          {NAMES[action]}
        </button>
      ))}
      {open === 'change' && <WatchForm status={status} onDone={onDone} onClose={close} />}
      {open !== undefined && open !== 'change' && (
        <Commanded command={open} status={status} onDone={onDone} onClose={close} />
      )}
    </div>
  );
}

const MEANINGS: Readonly<Record<WatchCommand, (status: WatchStatus) => string>> = {
  now: () => 'Starts a round now, or right after the current one. Subscribed jobs receive its changes.',
  accept: ({ held }) =>
    held === undefined
      ? 'No round is held any more.'
      : `${counted(held.exits, 'member')} would leave and ${shownCount(held.members)} would remain. The next round starts now and publishes the exits.`,
  stop: () =>
    'Jobs receive no more changes after the current ones. The known members are forgotten: a new watch cannot see changes made meanwhile.',
};

interface CommandedProps extends Done {
  readonly command: WatchCommand;
  readonly status: WatchStatus;
  readonly onClose: () => void;
}

function Commanded({ command, status, onDone, onClose }: CommandedProps): JSX.Element {
  const { id, slug, name } = status.audience;
  return (
    <ActionDialog
      title={`${NAMES[command]}: the watch of “${printable(name)}”`}
      action={NAMES[command]}
      isDangerous={command === 'stop'}
      isDisabled={command === 'accept' && status.held === undefined}
      command={`triggers watch ${shellWord(slug)} --${command}`}
      run={() => ask(pathOf(['watches', id, command]), { method: 'POST' })}
      {...{ onDone, onClose }}
    >
      <p>{MEANINGS[command](status)}</p>
      {command === 'stop' && stopLoss(status) !== '' && (
        <p class="caution">
          <Clipped text={stopLoss(status)} />
        </p>
      )}
    </ActionDialog>
  );
}

interface Begun {
  readonly watches: readonly { readonly isNew: boolean; readonly warnings: readonly string[] }[];
}

const AT_FIRST: WatchOptions = { everyMs: 300_000, existingUsers: false, largestExitPercent: 20 };

interface WatchFormProps extends Done {
  /** The watch that is changed; absent: this is a new one. */
  readonly status?: WatchStatus;
  readonly onClose: () => void;
}

/**
 * How an audience is watched: for a new watch, or a change of one. Only differences are sent, and so other people's changes in the meantime are kept.
 */
function WatchForm({ status, onDone, onClose }: WatchFormProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  const [before] = useState<WatchOptions>(status ?? AT_FIRST);
  const [audience, setAudience] = useState('');
  const [every, setEvery] = useState(spanWord(before.everyMs));
  const [percent, setPercent] = useState(String(before.largestExitPercent));
  const [existingUsers, setExistingUsers] = useState(before.existingUsers);
  const [begun, setBegun] = useState<Begun>();
  const [refused, setRefused] = useState('');
  const everyMs = readDuration(every.trim());
  const isEveryWrong = everyMs === undefined || everyMs < SHORTEST_WATCH_MS || everyMs > LONGEST_WATCH_MS;
  const isPercentWrong = !/^(?:[1-9]\d?|100)$/.test(percent.trim());
  const largestExitPercent = Number(percent);
  const change = {
    ...(everyMs === before.everyMs && status !== undefined ? {} : { everyMs }),
    ...(largestExitPercent === before.largestExitPercent ? {} : { largestExitPercent }),
    ...(existingUsers === before.existingUsers ? {} : { existingUsers }),
  };
  const name = status === undefined ? audience.trim() : status.audience.slug;
  const options = [
    'everyMs' in change ? ` --every ${shellWord(every.trim())}` : '',
    'largestExitPercent' in change ? ` --largest-exit ${shellWord(percent.trim())}` : '',
    'existingUsers' in change ? ` --${existingUsers ? '' : 'no-'}existing-users` : '',
  ].join('');
  const doIt = async (): Promise<void> => {
    const body = { audiences: [status?.audience.id ?? name], ...change };
    const isDone = await run(async () => {
      const answer = await ask<Begun>(pathOf(['watches']), { method: 'POST', body });
      setBegun(answer);
      if (answer.watches.every(({ warnings }) => warnings.length === 0)) onClose();
    });
    if (isDone) onDone();
    else setRefused(command);
  };
  const command = `triggers watch ${name === '' ? 'AUDIENCE' : shellWord(name)}${options}`;
  const isNothing = status !== undefined && Object.keys(change).length === 0;
  return (
    <Dialog
      title={status === undefined ? 'Watch an audience' : `Change the watch of “${printable(status.audience.name)}”`}
      {...(begun === undefined ? { action: status === undefined ? 'Watch it' : 'Change it' } : {})}
      isDisabled={name === '' || isEveryWrong || isPercentWrong || isNothing}
      {...{ onClose, isBusy }}
      failure={command === refused ? failure : undefined}
      {...(begun === undefined ? { command } : {})}
      onAction={() => void doIt()}
    >
      {begun !== undefined ? (
        <>
          <p>
            {begun.watches.some(({ isNew }) => isNew)
              ? 'The audience is being watched.'
              : 'The audience was already being watched.'}
          </p>
          {begun.watches
            .flatMap(({ warnings }) => warnings)
            .map((warning) => (
              <p key={warning} class="caution">
                <Clipped text={warning} />
              </p>
            ))}
        </>
      ) : (
        <>
          {status === undefined && <AudienceField value={audience} onInput={setAudience} />}
          <div class="field">
            <label for="every">Start a round every</label>
            <input
              id="every"
              aria-invalid={isEveryWrong}
              aria-describedby="every-hint"
              value={every}
              autocomplete="off"
              onInput={(event) => setEvery(event.currentTarget.value)}
            />
            <p id="every-hint" class={isEveryWrong ? 'problem' : 'hint'}>
              {isEveryWrong ? 'This is not a time like' : 'Such as'} 90s, 5m or 2h; from 1s to 7d.
            </p>
          </div>
          <div class="field">
            <label for="largest-exit">Hold a round when more than this % leave at once</label>
            <input
              id="largest-exit"
              aria-invalid={isPercentWrong}
              aria-describedby="largest-exit-hint"
              inputMode="numeric"
              value={percent}
              autocomplete="off"
              onInput={(event) => setPercent(event.currentTarget.value)}
            />
            <p id="largest-exit-hint" class={isPercentWrong ? 'problem' : 'hint'}>
              {isPercentWrong ? 'Enter a whole number from' : 'From'} 1 to 100; with 100 no round is held. A held round
              is published once the next one finds the same.
            </p>
          </div>
          <div class="field">
            <label class="option">
              <input
                type="checkbox"
                checked={existingUsers}
                onChange={(event) => setExistingUsers(event.currentTarget.checked)}
              />
              <span>
                Publish all members as enters when there is no earlier snapshot{' '}
                <span class="hint">In the first round, and after the snapshot was lost.</span>
              </span>
            </label>
          </div>
        </>
      )}
    </Dialog>
  );
}

interface AudienceFieldProps {
  readonly value: string;
  readonly onInput: (value: string) => void;
}

/** An audience of the source, or one that it does not list. */
function AudienceField({ value, onInput }: AudienceFieldProps): JSX.Element {
  const { value: list } = useFetched<AudienceList>(pathOf(['audiences']));
  return (
    <div class="field">
      <label for="watched">Audience</label>
      <input
        id="watched"
        list="audiences"
        value={value}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <datalist id="audiences">
        {list?.audiences.map(({ id, slug, name }) => (
          <option key={id} value={slug}>
            {printable(name)}
          </option>
        ))}
      </datalist>
      <p class="hint">Its slug or id. Every job that subscribes to it receives its enters and exits.</p>
    </div>
  );
}
