import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { AudienceList } from '../../contract/audience.ts';
import { readDuration } from '../../contract/duration.ts';
import type { WatchOptions, WatchStatus } from '../../contract/watch.ts';
import { LONGEST_MS, SHORTEST_MS } from '../../contract/watch-interval.ts';
import { counted, printable, shownCount } from '../../domain/shown.ts';
import { ask, pathOf } from '../api.ts';
import { useFetched, useDeed } from '../fetched.ts';
import { Dialog, Clipped } from '../parts.tsx';
import { shellWord, spanWord } from '../words.ts';

interface Done {
  /** Called when something was done. */
  readonly onDone: () => void;
}

type Command = 'now' | 'accept' | 'stop';

const NAMES: Readonly<Record<Command | 'change', string>> = {
  accept: 'Accept',
  now: 'Read now',
  change: 'Change',
  stop: 'Stop',
};

/** What can be done with a watch now. */
export function WatchDeeds({ status, onDone }: Done & { readonly status: WatchStatus }): JSX.Element {
  const [open, setOpen] = useState<Command | 'change'>();
  const { slug } = status.audience;
  const close = (): void => setOpen(undefined);
  const deeds = [...(status.held === undefined ? [] : (['accept'] as const)), 'now', 'change', 'stop'] as const;
  return (
    <div class="deeds">
      {deeds.map((deed) => (
        <button
          type="button"
          class="plain"
          key={deed}
          aria-label={`${NAMES[deed]}: the watch of ${printable(slug)}`}
          onClick={() => setOpen(deed)}
        >
          {NAMES[deed]}
        </button>
      ))}
      {open === 'change' && <WatchForm status={status} onDone={onDone} onClose={close} />}
      {open !== undefined && open !== 'change' && (
        <Commanded command={open} status={status} onDone={onDone} onClose={close} />
      )}
    </div>
  );
}

const MEANINGS: Readonly<Record<Command, (status: WatchStatus) => string>> = {
  now: () => 'Its members are read now, or as soon as the round that is under way is over. What changed is told then.',
  accept: ({ held }) =>
    held === undefined
      ? 'Nothing is held any more.'
      : `${counted(held.exits, 'member')} did leave, and ${shownCount(held.members)} remain: that is believed. They are read once more, and each job that listens is told.`,
  stop: () =>
    'Nobody is told any more who enters and leaves. What is being told is finished first. Who the members were is forgotten: a watch that is begun again knows of no change meanwhile.',
};

interface CommandedProps extends Done {
  readonly command: Command;
  readonly status: WatchStatus;
  readonly onClose: () => void;
}

function Commanded({ command, status, onDone, onClose }: CommandedProps): JSX.Element {
  const { isBusy, failure, run } = useDeed();
  const { id, slug, name } = status.audience;
  const doIt = async (): Promise<void> => {
    if (!(await run(() => ask(pathOf(['watches', id, command]), { method: 'POST' })))) return;
    onDone();
    onClose();
  };
  return (
    <Dialog
      title={`${NAMES[command]}: the watch of “${printable(name)}”`}
      deed={NAMES[command]}
      isDangerous={command === 'stop'}
      isDisabled={command === 'accept' && status.held === undefined}
      {...{ onClose, isBusy, failure }}
      command={`triggers watch ${shellWord(slug)} --${command}`}
      onDeed={() => void doIt()}
    >
      <p>{MEANINGS[command](status)}</p>
    </Dialog>
  );
}

interface Begun {
  readonly watches: readonly { readonly isNew: boolean; readonly warnings: readonly string[] }[];
}

const AT_FIRST: WatchOptions = { everyMs: 300_000, emitExisting: false, largestExitPercent: 20 };

interface WatchFormProps extends Done {
  /** Of the watch that is changed; absent: one is begun. */
  readonly status?: WatchStatus;
  readonly onClose: () => void;
}

/** How an audience is watched: from now on, or otherwise than it is. Only what differs is said, so that what somebody else has changed meanwhile stays. */
export function WatchForm({ status, onDone, onClose }: WatchFormProps): JSX.Element {
  const { isBusy, failure, run } = useDeed();
  const [before] = useState<WatchOptions>(status ?? AT_FIRST);
  const [audience, setAudience] = useState('');
  const [every, setEvery] = useState(spanWord(before.everyMs));
  const [percent, setPercent] = useState(String(before.largestExitPercent));
  const [emitExisting, setEmitExisting] = useState(before.emitExisting);
  const [begun, setBegun] = useState<Begun>();
  const [refused, setRefused] = useState('');
  const everyMs = readDuration(every.trim());
  const isEveryWrong = everyMs === undefined || everyMs < SHORTEST_MS || everyMs > LONGEST_MS;
  const isPercentWrong = !/^(?:[1-9]\d?|100)$/.test(percent.trim());
  const largestExitPercent = Number(percent);
  const change = {
    ...(everyMs === before.everyMs && status !== undefined ? {} : { everyMs }),
    ...(largestExitPercent === before.largestExitPercent ? {} : { largestExitPercent }),
    ...(emitExisting === before.emitExisting ? {} : { emitExisting }),
  };
  const name = status === undefined ? audience.trim() : status.audience.slug;
  const options = [
    'everyMs' in change ? ` --every ${shellWord(every.trim())}` : '',
    'largestExitPercent' in change ? ` --largest-exit ${shellWord(percent.trim())}` : '',
    'emitExisting' in change ? ` --${emitExisting ? '' : 'no-'}emit-existing` : '',
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
      {...(begun === undefined ? { deed: status === undefined ? 'Watch it' : 'Change it' } : {})}
      isDisabled={name === '' || isEveryWrong || isPercentWrong || isNothing}
      {...{ onClose, isBusy }}
      failure={command === refused ? failure : undefined}
      {...(begun === undefined ? { command } : {})}
      onDeed={() => void doIt()}
    >
      {begun !== undefined ? (
        <>
          <p>
            {begun.watches.some(({ isNew }) => isNew) ? 'It is watched now.' : 'It was watched before, and is so now.'}
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
            <label for="every">Check every</label>
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
            <label for="largest-exit">Hold back when more than this % leave at once</label>
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
              {isPercentWrong && 'This is not a whole number. '}From 1 to 100; with 100 nothing is held back. Exits that
              are held back are sent once a second reading confirms them.
            </p>
          </div>
          <div class="field">
            <label class="option">
              <input
                type="checkbox"
                checked={emitExisting}
                onChange={(event) => setEmitExisting(event.currentTarget.checked)}
              />
              <span>
                Report everybody as entering where there is nothing to compare with{' '}
                <span class="hint">In the first round, and after the last one was lost.</span>
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

/** One of the source's, or one that it does not list. */
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
      <p class="hint">By its slug or id. Each job that listens to it is told who enters and who leaves.</p>
    </div>
  );
}
