import type { FoundTold } from '../../features/replay/found-told.ts';
import { Fragment, type JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Difference } from '../../features/reconcile/difference.ts';
import type { AudienceList } from '../../contract/audience.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { gapsInWords } from '../../domain/log-gaps.ts';
import { capital } from '../../words/text.ts';
import { shellWord } from '../../domain/text.ts';
import { hasStopped } from '../../domain/job-state.ts';
import { counted, printable, shownCount } from '../../domain/text.ts';
import { kindOfBackfill } from '../../domain/status-rows.ts';
import { startAgain } from '../about.tsx';
import { ask, pathOf, useFetched, useAction, useSteady } from '../api.ts';
import { ActionDialog, Dialog, Failure, Loading } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { membersOf } from './job-form.tsx';

type JobAction = 'pause' | 'resume' | 'recover' | 'retry' | 'backfill' | 'reconcile' | 'replay' | 'stop';

const NAMES: Readonly<Record<JobAction, string>> = {
  pause: 'Pause',
  resume: 'Resume',
  recover: 'Recover',
  retry: 'Retry now',
  backfill: 'Backfill',
  reconcile: 'Reconcile',
  replay: 'Send again',
  stop: 'Stop',
};

interface JobActionProps {
  readonly status: JobStatus;
  /** Called when an action was done. */
  readonly onDone: () => void;
}

/** The actions that a person may take on a job now. */
export function JobActions({ status, onDone }: JobActionProps): JSX.Element | null {
  const { mayOperate } = useSession();
  const [open, setOpen] = useState<JobAction>();
  const buttons = useFocusAfterActions(open !== undefined);
  if (!mayOperate) return null;
  const opened = { status, onDone, onClose: () => setOpen(undefined) };
  const dialogs: Readonly<Record<JobAction, () => JSX.Element>> = {
    pause: () => <Plain action="pause" {...opened} />,
    resume: () => <Plain action="resume" {...opened} />,
    recover: () => <Plain action="recover" {...opened} />,
    retry: () => <Plain action="retry" {...opened} />,
    backfill: () => <BackfillDialog {...opened} />,
    reconcile: () => <ReconcileDialog {...opened} />,
    replay: () => <ReplayDialog {...opened} />,
    stop: () => <StopDialog {...opened} />,
  };
  const actions = actionsOf(status);
  return (
    <div class="buttons" ref={buttons} tabIndex={-1}>
      {actions.map((action) => (
        <button type="button" key={action} onClick={() => setOpen(action)}>
          {NAMES[action]}
        </button>
      ))}
      {!hasStopped(status.state) && (
        <a class="button" href={`/jobs/${encodeURIComponent(status.jobId)}/edit`}>
          Edit
        </a>
      )}
      {actions.length === 0 && (
        <a class="button" href={startAgain(status.jobId)}>
          Start again
        </a>
      )}
      {open !== undefined && dialogs[open]()}
    </div>
  );
}

/**
 * Where the focus goes when an action removes the button that began it: to the first remaining button, or to their place.
 * @param isOpen whether an action's dialogue is open
 */
function useFocusAfterActions(isOpen: boolean): { readonly current: HTMLDivElement | null } {
  const buttons = useRef<HTMLDivElement>(null);
  const wasHere = useRef(false);
  useLayoutEffect(() => {
    const { current } = buttons;
    if (isOpen) wasHere.current = true;
    else if (wasHere.current && document.activeElement === document.body)
      (current?.querySelector<HTMLElement>('button, a') ?? current)?.focus();
    else if (current?.contains(document.activeElement) !== true) wasHere.current = false;
  });
  return buttons;
}

function actionsOf({ state, kept, recoverableUntil, waiting, endpoint, backfill }: JobStatus): JobAction[] {
  if (recoverableUntil !== undefined) return ['recover'];
  if (hasStopped(state)) return kept === undefined ? [] : ['resume', 'stop'];
  if (state === 'starting' || state === 'stopping') return ['stop'];
  const isBackfilling = backfill?.state === 'running' || backfill?.state === 'paused';
  // It comes first: the other buttons keep their places when it comes and goes.
  const isRetriable = state === 'running' && (waiting > 0 || endpoint !== undefined);
  return [
    ...(isRetriable ? (['retry'] as const) : []),
    ...(state === 'paused' ? (['resume'] as const) : (['pause'] as const)),
    ...(isBackfilling ? [] : (['backfill', 'reconcile', 'replay'] as const)),
    'stop',
  ];
}

type DialogProps = JobActionProps & { readonly onClose: () => void };

const MEANINGS: Readonly<Record<'pause' | 'resume' | 'recover' | 'retry', (status: JobStatus) => string>> = {
  pause: () => 'Requests in flight finish; no new ones start until you resume the job. New triggers wait.',
  resume: (status) =>
    `The job sends its ${counted(status.kept?.waiting ?? status.waiting, 'waiting trigger')}, then continues as before.${limitsOf(status)}`,
  recover: () => 'The job restarts with the triggers that were undelivered when it was ended from outside.',
  retry: (status) => {
    const { delayed, waiting, endpoint } = status;
    if (endpoint?.state === 'unhealthy') {
      const others = waiting > 1 ? ` If the endpoint accepts it, the other ${shownCount(waiting - 1)} follow.` : '';
      return `One request is sent now.${others}`;
    }
    const who = delayed === 1 ? "1 person's trigger" : `the triggers of ${shownCount(delayed)} people`;
    return `${delayed === 0 ? 'The job asks the endpoint now, also if it was asked to wait.' : `Retry ${who} now instead of waiting.`}${limitsOf(status)}`;
  },
};

/** The settings of a job that can keep triggers waiting, in words. */
function limitsOf({ quota, quietHours }: JobStatus): string {
  const limits = [...(quota === null ? [] : ['quota']), ...(quietHours === null ? [] : ['quiet hours'])];
  return limits.length === 0 ? '' : ` Its ${limits.join(' and ')} still apply, so some may go later.`;
}

/** The dialogue of a command that needs only a confirmation. */
function Plain({
  action,
  status,
  onDone,
  onClose,
}: DialogProps & { readonly action: keyof typeof MEANINGS }): JSX.Element {
  const { jobId, label } = status;
  const [reason, setReason] = useState('');
  const asksWhy = action === 'pause';
  return (
    <ActionDialog
      title={`${NAMES[action]} “${printable(label)}”`}
      action={NAMES[action]}
      command={`triggers ${action} ${jobId}${reasonOption(reason)}`}
      isOnlyAsking={!asksWhy}
      run={() => ask(pathOf(['jobs', jobId, action]), { method: 'POST', body: reasonOf(reason) })}
      {...{ onDone, onClose }}
    >
      <p>{MEANINGS[action](status)}</p>
      {asksWhy && <Reason value={reason} onInput={setReason} isFirst />}
    </ActionDialog>
  );
}

interface TypedProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly hint?: string;
  /** Whether the hint says what is wrong. */
  readonly isWrong?: boolean;
  /** Whether it has the focus when the dialogue opens. */
  readonly isFirst?: boolean;
  readonly isTime?: boolean;
}

/** A labelled input. */
function Typed({ id, label, value, onInput, hint, isWrong = false, isFirst = false, isTime = false }: TypedProps) {
  const input = {
    id,
    maxLength: 500,
    autocomplete: 'off',
    autofocus: isFirst,
    value,
    onInput: (event: { readonly currentTarget: HTMLInputElement }) => onInput(event.currentTarget.value),
  } as const;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {isTime ? <input type="datetime-local" {...input} /> : <input {...input} />}
      {hint !== undefined && <p class={isWrong ? 'problem' : 'hint'}>{hint}</p>}
    </div>
  );
}

/** Asks why, for the job's history. */
function Reason(props: Pick<TypedProps, 'value' | 'onInput' | 'isFirst'>): JSX.Element {
  return <Typed id="reason" label="Reason (optional)" hint="The job's history shows it." {...props} />;
}

/** The count before anything is sent. */
function Counts({ counts }: { readonly counts: readonly (readonly [name: string, count: number])[] }): JSX.Element {
  return (
    <dl class="rows">
      {counts.map(([name, count]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{shownCount(count)}</dd>
        </Fragment>
      ))}
    </dl>
  );
}

function reasonOf(reason: string): { readonly reason?: string } {
  return reason.trim() === '' ? {} : { reason };
}

function reasonOption(reason: string): string {
  return reason.trim() === '' ? '' : ` --reason ${shellWord(reason)}`;
}

const WAITING = [
  ['deliver', 'Send them first', 'The job stops when all are sent, after an hour at the latest. It keeps the rest.'],
  ['keep', 'Keep them', 'The job stops now. Resume it to send them.'],
  ['discard', 'Discard them', 'The job stops now. They are never sent. This cannot be undone.'],
] as const;

function StopDialog({ status, onDone, onClose }: DialogProps): JSX.Element {
  const { jobId, label, kept, deadLettersWaiting = status.deadLetters, deadLettersOfEarlierJobs = 0 } = status;
  // Letters of an earlier job can never be sent.
  const letters = Math.max(0, deadLettersWaiting - deadLettersOfEarlierJobs);
  const [waiting, setWaiting] = useState<(typeof WAITING)[number][0]>(
    kept !== undefined ? 'discard' : letters > 0 ? 'keep' : 'deliver',
  );
  const [reason, setReason] = useState('');
  const count = kept?.waiting ?? status.waiting;
  // A running job goes on sending until it is stopped. The page then shows how much it kept or dropped.
  const about = kept === undefined ? 'about ' : '';
  const isBackfilling = status.backfill?.state === 'running' || status.backfill?.state === 'paused';
  const choices = kept === undefined ? WAITING : WAITING.filter(([one]) => one === 'discard');
  const isLosing = letters > 0 && waiting !== 'keep';
  const lettersOf = counted(letters, 'dead letter');
  const fate = {
    keep: ` Its ${lettersOf} can be sent again once you resume it.`,
    deliver: ` Its ${lettersOf} can then never be sent, unless it keeps triggers.`,
    discard: ` Its ${lettersOf} can then never be sent.`,
  };
  return (
    <ActionDialog
      title={kept === undefined ? `Stop “${printable(label)}”` : `Discard the triggers that “${printable(label)}” kept`}
      action={`${waiting === 'discard' && count > 0 ? `Discard ${about}${shownCount(count)} and stop` : 'Stop'}${isLosing ? `, and give up ${lettersOf}` : ''}`}
      isDangerous={waiting === 'discard' || isLosing}
      command={`triggers stop ${jobId}${waiting === 'deliver' ? '' : ` --waiting ${waiting}`}${reasonOption(reason)}`}
      run={() => ask(pathOf(['jobs', jobId, 'stop']), { method: 'POST', body: { waiting, ...reasonOf(reason) } })}
      {...{ onDone, onClose }}
    >
      <p>
        {kept === undefined ? 'It will accept no more triggers. ' : ''}
        {count === 0
          ? 'No triggers are waiting.'
          : `${capital(about)}${counted(count, 'trigger')} ${count === 1 ? 'is' : 'are'} waiting.`}
        {isBackfilling ? ' Its backfill is not finished.' : ''}
      </p>
      {letters > 0 && (
        <p class="caution">
          <a href={`/dead-letters?job=${encodeURIComponent(jobId)}`}>{lettersOf}</a> {letters === 1 ? 'waits' : 'wait'}{' '}
          for a decision. Only this job can send {letters === 1 ? 'it' : 'them'}: redeliver before you stop it, keep the
          job, or pause it instead.
        </p>
      )}
      <fieldset class="field">
        <legend>Waiting triggers</legend>
        {choices.map(([value, name, meaning]) => (
          <label key={value} class="option">
            <input type="radio" name="waiting" checked={waiting === value} onChange={() => setWaiting(value)} />
            <span>
              {name}{' '}
              <span class="hint">
                {meaning}
                {value === 'deliver' && limitsOf(status)}
                {letters > 0 && fate[value]}
              </span>
            </span>
          </label>
        ))}
      </fieldset>
      <Reason value={reason} onInput={setReason} />
    </ActionDialog>
  );
}

function BackfillDialog({ status, onDone, onClose }: DialogProps): JSX.Element {
  const slugs = status.audiences.map(({ slug }) => slug);
  const [chosen, setChosen] = useState<readonly string[]>(slugs);
  const [sample, setSample] = useState('');
  // The id stays the same for each press of the button: a repeat after a lost answer starts nothing more.
  const [requestId] = useState(() => crypto.randomUUID());
  const { value: list } = useFetched<AudienceList>(pathOf(['audiences']));
  const meant = status.audiences.filter(({ slug }) => chosen.includes(slug));
  const members = membersOf(
    list,
    meant.map(({ id }) => id),
  );
  const { jobId, label, backfillPerSecond, parallelRequestCount } = status;
  const isSample = sample.trim() !== '';
  const count = isSample ? Number(sample) : undefined;
  const isWrong = isSample && !(/^\d+$/.test(sample.trim()) && Number.isSafeInteger(count) && (count ?? 0) > 0);
  const audiences = chosen.length === slugs.length ? {} : { audiences: chosen };
  const body = { requestId, ...audiences, ...(count === undefined ? {} : { sample: count }) };
  const options = [
    ...(chosen.length === slugs.length ? [] : chosen.map((slug) => ` --audience ${shellWord(slug)}`)),
    isSample && !isWrong ? ` --sample ${count}` : '',
  ];
  const whom = members === undefined ? 'each current member' : `each of ${counted(members, 'member')}`;
  const pace =
    backfillPerSecond === null ? `${parallelRequestCount} requests at once` : `${backfillPerSecond} a second`;
  return (
    <ActionDialog
      title={`Send existing users of “${printable(label)}”`}
      action={count === undefined || isWrong ? 'Start backfill' : `Send ${shownCount(count)}, then pause`}
      isDisabled={chosen.length === 0 || isWrong}
      command={`triggers backfill ${jobId}${options.join('')}`}
      run={() => ask(pathOf(['jobs', jobId, 'backfill']), { method: 'POST', body })}
      {...{ onDone, onClose }}
    >
      <p>
        An <code>enter</code> is sent for {whom}, at most {pace}. People who were already sent are sent again.
      </p>
      {slugs.length > 1 && (
        <fieldset class="field">
          <legend>Audiences</legend>
          {slugs.map((slug) => (
            <label key={slug} class="option">
              <input
                type="checkbox"
                checked={chosen.includes(slug)}
                onChange={({ currentTarget: { checked } }) =>
                  setChosen(slugs.filter((one) => (one === slug ? checked : chosen.includes(one))))
                }
              />
              <bdi>{printable(slug)}</bdi>
            </label>
          ))}
        </fieldset>
      )}
      <Typed
        id="sample"
        label="Number of people to send first (optional)"
        value={sample}
        onInput={setSample}
        isWrong={isWrong}
        hint={isWrong ? 'Enter a whole number from 1.' : 'The backfill pauses after them. Resume it to continue.'}
      />
    </ActionDialog>
  );
}

/** The actions on a backfill that is under way. */
export function BackfillActions({ status, onDone }: JobActionProps): JSX.Element | null {
  const { mayOperate } = useSession();
  const { failure, isBusy, run } = useAction();
  const [isCancelling, setCancelling] = useState(false);
  const { backfill, jobId } = status;
  const state = backfill?.state;
  const what = kindOfBackfill(backfill).toLowerCase();
  // The same button pauses it and, a moment later, resumes it.
  const isSteady = useSteady(state);
  if (!mayOperate || (state !== 'running' && state !== 'paused' && state !== 'lost')) return null;
  const act = async (action: 'pause' | 'resume' | 'cancel'): Promise<void> => {
    if (!isSteady) return;
    const isDone = await run(() => ask(pathOf(['jobs', jobId, 'backfill']), { method: 'POST', body: { action } }));
    if (isDone) onDone();
    if (isDone) setCancelling(false);
  };
  return (
    <div class="buttons">
      <button type="button" disabled={isBusy} onClick={() => void act(state === 'running' ? 'pause' : 'resume')}>
        {state === 'running' ? `Pause ${what}` : `Resume ${what}`}
      </button>
      <button type="button" disabled={isBusy} onClick={() => setCancelling(true)}>
        Cancel {what}
      </button>
      {isCancelling ? (
        <Dialog
          title={`Cancel the ${what}`}
          action={`Cancel the ${what}`}
          isDangerous
          {...{ isBusy, failure }}
          onClose={() => setCancelling(false)}
          command={`triggers backfill ${jobId} --cancel`}
          onAction={() => void act('cancel')}
        >
          <p>People not sent yet are skipped. This cannot be undone. Live triggers continue.</p>
        </Dialog>
      ) : (
        <Failure failure={failure} />
      )}
    </div>
  );
}

interface Compared {
  readonly difference: Difference;
}

/** A list with an id a line, in the API's format. */
function ndjsonOf(lines: string): string {
  const ids = lines.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  return ids.map((id) => JSON.stringify(id)).join('\n');
}

/** Two steps: show how many triggers the list would send, then send them. The list goes to the API each time, and nowhere else. */
function ReconcileDialog({ status, onDone, onClose }: DialogProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  const [file, setFile] = useState<File>();
  const [audience, setAudience] = useState(status.audiences[0]?.slug ?? '');
  const [typedColumn, setColumn] = useState('');
  const [found, setFound] = useState<Difference>();
  const { jobId, label, audiences } = status;
  useEffect(() => setFound(undefined), [file, audience, typedColumn]);
  const ending = /\.(csv|txt|xlsx?)$/i.exec(file?.name ?? '')?.[1]?.toLowerCase() ?? '';
  const isExcel = ending.startsWith('xls');
  const column = typedColumn.trim();
  const isDoubtful = failure?.code === 'DifferenceDoubtful';
  const send = async (dryRun: boolean): Promise<void> => {
    if (file === undefined) return;
    const type = ending === 'csv' ? 'text/csv' : 'application/x-ndjson';
    const content = ending === 'txt' ? new Blob([ndjsonOf(await file.text())]) : file;
    const path = pathOf(['jobs', jobId, 'reconcile'], { audience, column, dryRun, force: !dryRun && isDoubtful });
    const isDone = await run(async () => {
      const { difference } = await ask<Compared>(path, { method: 'POST', file: { type, content } });
      setFound(difference);
    });
    if (!isDone || dryRun) return;
    onDone();
    onClose();
  };
  const options = [
    column === '' ? '' : ` --column ${shellWord(column)}`,
    audiences.length > 1 ? ` --audience ${shellWord(audience)}` : '',
  ];
  const isNothing = found !== undefined && found.enters + found.exits === 0;
  return (
    <Dialog
      title={`Reconcile “${printable(label)}”`}
      action={
        found === undefined
          ? 'Compare'
          : isDoubtful
            ? 'Send anyway'
            : `Send ${counted(found.enters, 'enter')} and ${counted(found.exits, 'exit')}`
      }
      isDangerous={isDoubtful}
      {...{ onClose, isBusy, failure }}
      isDisabled={file === undefined || isExcel || isNothing}
      command={`triggers reconcile ${jobId} --they-have ${shellWord(file?.name ?? 'FILE')}${options.join('')}`}
      onAction={() => void send(found === undefined)}
    >
      <p>
        Upload the endpoint's own list of people to compare it with the current members. You can then send the
        difference: enters for members missing from the list, exits for people on it who are not members.
      </p>
      {audiences.length > 1 && (
        <div class="field">
          <label for="of">Audience</label>
          <select id="of" value={audience} onChange={(event) => setAudience(event.currentTarget.value)}>
            {audiences.map(({ slug }) => (
              <option key={slug} value={slug}>
                {printable(slug)}
              </option>
            ))}
          </select>
        </div>
      )}
      <div class="field">
        <label for="list">The list</label>
        <input
          id="list"
          type="file"
          accept=".csv,.ndjson,.jsonl,.txt"
          onChange={(event) => setFile(event.currentTarget.files?.[0])}
        />
        <p class={isExcel ? 'problem' : 'hint'}>
          {isExcel
            ? 'This is an Excel file. Save it as CSV first, with commas between the columns.'
            : 'CSV with a header row; a text file with one id per line; or NDJSON with one id, or one object with an id, per line.'}
        </p>
      </div>
      <Typed
        id="column"
        label="Column or JSON key of the ids (optional)"
        value={typedColumn}
        onInput={setColumn}
        hint="Default: user or id."
      />
      {isBusy && <Loading what="the list and the members" />}
      {found !== undefined && (
        <Counts
          counts={[
            ['On the list', found.theirs],
            ['Members now', found.members],
            ['In both', found.both],
            ['Enters to send', found.enters],
            ['Exits to send', found.exits],
          ]}
        />
      )}
      {isNothing && <p>Both have the same people. Nothing to send.</p>}
    </Dialog>
  );
}

/** Two steps: show how much would be sent again, then send it. */
function ReplayDialog({ status, onDone, onClose }: DialogProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  const [since, setSince] = useState('');
  const [until, setUntil] = useState('');
  const [user, setUser] = useState('');
  const [onlyLast, setOnlyLast] = useState(false);
  const [found, setFound] = useState<FoundTold>();
  const { jobId, label } = status;
  useEffect(() => setFound(undefined), [since, until, user, onlyLast]);
  const wish = {
    ...(since === '' ? {} : { since: new Date(since).toISOString() }),
    // The same time is meant again, however long a person looks at the counts.
    ...(found !== undefined
      ? { until: found.replay.until }
      : until === ''
        ? {}
        : { until: new Date(until).toISOString() }),
    ...(user.trim() === '' ? {} : { user: user.trim() }),
    ...(onlyLast ? { onlyLast } : {}),
  };
  const send = async (dryRun: boolean): Promise<void> => {
    const isDone = await run(async () => {
      const body = dryRun ? { ...wish, dryRun } : { ...wish, requestId: found?.id };
      setFound((await ask<{ found: FoundTold }>(pathOf(['jobs', jobId, 'replay']), { method: 'POST', body })).found);
    });
    if (!isDone || dryRun) return;
    onDone();
    onClose();
  };
  const options = [
    ` --since ${wish.since ?? 'TIME'}`,
    wish.until === undefined ? '' : ` --until ${wish.until}`,
    wish.user === undefined ? '' : ` --user ${shellWord(wish.user)}`,
    onlyLast ? ' --only last' : '',
  ];
  const isNothing = found !== undefined && found.enters + found.exits === 0;
  return (
    <Dialog
      title={`Send again: “${printable(label)}”`}
      action={
        found === undefined
          ? 'Count'
          : `Send ${counted(found.enters, 'enter')} and ${counted(found.exits, 'exit')} again`
      }
      {...{ onClose, isBusy, failure }}
      isDisabled={since === '' || isNothing}
      command={`triggers replay ${jobId}${options.join('')}`}
      onAction={() => void send(found === undefined)}
    >
      <p>
        The endpoint gets again what the delivery log says that it got in this time: with the same ids, and for each
        person in the same order. What a person was sent after this time is newer, and leaves older triggers out.
      </p>
      <Typed id="since" label="Told since" isTime value={since} onInput={setSince} />
      <Typed id="until" label="And before (optional)" isTime value={until} onInput={setUntil} />
      <Typed id="person" label="Only to this person (optional)" value={user} onInput={setUser} />
      <label class="option">
        <input type="checkbox" checked={onlyLast} onChange={({ currentTarget: { checked } }) => setOnlyLast(checked)} />
        Only what each person was told last
      </label>
      {isBusy && <Loading what="the delivery log" />}
      {found !== undefined && (
        <Counts
          counts={[
            ['Enters to send', found.enters],
            ['Exits to send', found.exits],
            ['People', found.people],
            ['Left out: sent something newer later', found.outdated],
            ['Left out: not of this job any more', found.foreign],
          ]}
        />
      )}
      {found !== undefined && <p role="status">{gapsInWords(found.gaps ?? [])}</p>}
      {isNothing && <p>Nothing to send again.</p>}
    </Dialog>
  );
}
