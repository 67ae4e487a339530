import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Difference } from '../../contract/difference.ts';
import type { AudienceList } from '../../contract/audience.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { FoundTold } from '../../contract/replay.ts';
import { hasStopped, counted, printable, shownCount, shellWord } from '../../domain/shown.ts';
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
  const close = (): void => setOpen(undefined);
  const opened = { status, onDone, onClose: close };
  const own = {
    backfill: <BackfillDialog {...opened} />,
    reconcile: <ReconcileDialog {...opened} />,
    replay: <ReplayDialog {...opened} />,
    stop: <StopDialog {...opened} />,
  };
  return (
    <div class="buttons" ref={buttons} tabIndex={-1}>
      {actionsOf(status).map((action) => (
        <button type="button" key={action} onClick={() => setOpen(action)}>
          {NAMES[action]}
        </button>
      ))}
      {!hasStopped(status.state) && (
        <a class="button" href={`/jobs/${encodeURIComponent(status.jobId)}/edit`}>
          Edit
        </a>
      )}
      {(open === 'backfill' || open === 'reconcile' || open === 'replay' || open === 'stop') && own[open]}
      {(open === 'pause' || open === 'resume' || open === 'recover' || open === 'retry') && (
        <Plain action={open} {...opened} />
      )}
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

function actionsOf({ state, kept, recoverableUntil, delayed, backfill }: JobStatus): JobAction[] {
  if (recoverableUntil !== undefined) return ['recover'];
  if (hasStopped(state)) return kept === undefined ? [] : ['resume', 'stop'];
  if (state === 'starting') return ['stop'];
  if (state === 'stopping') return ['stop'];
  const isBackfilling = backfill?.state === 'running' || backfill?.state === 'paused';
  return [
    ...(state === 'paused' ? (['resume'] as const) : (['pause'] as const)),
    ...(delayed > 0 && state === 'running' ? (['retry'] as const) : []),
    ...(isBackfilling ? [] : (['backfill', 'reconcile', 'replay'] as const)),
    'stop',
  ];
}

type DialogProps = JobActionProps & { readonly onClose: () => void };

const MEANINGS: Readonly<Record<'pause' | 'resume' | 'recover' | 'retry', (status: JobStatus) => string>> = {
  pause: () => 'Requests in flight finish; no new ones start until you resume the job. New triggers wait.',
  resume: ({ kept, waiting }) =>
    `The job sends its ${counted(kept?.waiting ?? waiting, 'waiting trigger')}, then continues as before.`,
  recover: () => 'The job restarts with the triggers that were undelivered when it was ended from outside.',
  retry: ({ delayed, waiting, endpoint }) => {
    if (endpoint?.state !== 'unhealthy')
      return `Retry ${delayed === 1 ? "1 person's trigger" : `the triggers of ${shownCount(delayed)} people`} now instead of waiting.`;
    const others = waiting > 1 ? ` If the endpoint accepts it, the other ${shownCount(waiting - 1)} follow.` : '';
    return `One request is sent now.${others}`;
  },
};

/** The dialogue of a command that needs only a confirmation. */
function Plain({
  action,
  status,
  onDone,
  onClose,
}: DialogProps & { readonly action: keyof typeof MEANINGS }): JSX.Element {
  const { jobId, label } = status;
  const [reason, setReason] = useState('');
  const isTold = action === 'pause';
  return (
    <ActionDialog
      title={`${NAMES[action]} “${printable(label)}”`}
      action={NAMES[action]}
      command={`triggers ${action} ${jobId}${reasonOption(reason)}`}
      isOnlyAsking
      run={() => ask(pathOf(['jobs', jobId, action]), { method: 'POST', body: reasonOf(reason) })}
      {...{ onDone, onClose }}
    >
      <p>{MEANINGS[action](status)}</p>
      {isTold && <Reason value={reason} onInput={setReason} />}
    </ActionDialog>
  );
}

/** Asks why, for the job's history. */
function Reason({ value, onInput }: { readonly value: string; readonly onInput: (value: string) => void }) {
  return (
    <div class="field">
      <label for="reason">Reason (optional)</label>
      <input id="reason" maxLength={500} value={value} onInput={(event) => onInput(event.currentTarget.value)} />
      <p class="hint">The job's history shows it.</p>
    </div>
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
  const [waiting, setWaiting] = useState<(typeof WAITING)[number][0]>(
    status.kept === undefined ? 'deliver' : 'discard',
  );
  const { jobId, label, kept } = status;
  const [reason, setReason] = useState('');
  const count = kept?.waiting ?? status.waiting;
  const isBackfilling = status.backfill?.state === 'running' || status.backfill?.state === 'paused';
  const choices = kept === undefined ? WAITING : WAITING.filter(([one]) => one === 'discard');
  return (
    <ActionDialog
      title={kept === undefined ? `Stop “${printable(label)}”` : `Discard the triggers that “${printable(label)}” kept`}
      action={waiting === 'discard' ? (count === 0 ? 'Stop' : `Discard ${shownCount(count)} and stop`) : 'Stop'}
      isDangerous={waiting === 'discard'}
      command={`triggers stop ${jobId}${waiting === 'deliver' ? '' : ` --waiting ${waiting}`}${reasonOption(reason)}`}
      run={() => ask(pathOf(['jobs', jobId, 'stop']), { method: 'POST', body: { waiting, ...reasonOf(reason) } })}
      {...{ onDone, onClose }}
    >
      <p>
        {kept === undefined ? 'It will accept no more triggers. ' : ''}
        {count === 0
          ? 'No triggers are waiting.'
          : `${counted(count, 'trigger')} ${count === 1 ? 'is' : 'are'} waiting.`}
        {isBackfilling ? ' Its backfill is not finished.' : ''}
      </p>
      <fieldset class="field">
        <legend>Waiting triggers</legend>
        {choices.map(([value, name, meaning]) => (
          <label key={value} class="option">
            <input type="radio" name="waiting" checked={waiting === value} onChange={() => setWaiting(value)} />
            <span>
              {name} <span class="hint">{meaning}</span>
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
      <div class="field">
        <label for="sample">Number of people to send first (optional)</label>
        <input
          id="sample"
          inputMode="numeric"
          value={sample}
          onInput={(event) => setSample(event.currentTarget.value)}
        />
        <p class={isWrong ? 'problem' : 'hint'}>
          {isWrong ? 'Enter a whole number from 1.' : 'The backfill pauses after them. Resume it to continue.'}
        </p>
      </div>
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
        {state === 'running' ? 'Pause backfill' : 'Resume backfill'}
      </button>
      <button type="button" disabled={isBusy} onClick={() => setCancelling(true)}>
        Cancel backfill
      </button>
      {isCancelling ? (
        <Dialog
          title="Cancel the backfill"
          action="Cancel the backfill"
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
      <div class="field">
        <label for="column">Column or JSON key of the ids (optional)</label>
        <input
          id="column"
          autocomplete="off"
          spellcheck={false}
          value={typedColumn}
          onInput={(event) => setColumn(event.currentTarget.value)}
        />
        <p class="hint">Default: user or id.</p>
      </div>
      {isBusy && <Loading what="the list and the members" />}
      {found !== undefined && (
        <dl class="rows">
          <dt>On the list</dt>
          <dd>{shownCount(found.theirs)}</dd>
          <dt>Members now</dt>
          <dd>{shownCount(found.members)}</dd>
          <dt>In both</dt>
          <dd>{shownCount(found.both)}</dd>
          <dt>Enters to send</dt>
          <dd>{shownCount(found.enters)}</dd>
          <dt>Exits to send</dt>
          <dd>{shownCount(found.exits)}</dd>
        </dl>
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
        The endpoint is told again what the delivery log says that it was told, with the same ids, unless the person was
        told something newer since.
      </p>
      {(
        [
          ['since', 'Told since', since, setSince],
          ['until', 'And before (optional)', until, setUntil],
        ] as const
      ).map(([id, name, value, set]) => (
        <div class="field" key={id}>
          <label for={id}>{name}</label>
          <input id={id} type="datetime-local" value={value} onInput={(event) => set(event.currentTarget.value)} />
        </div>
      ))}
      <div class="field">
        <label for="person">Only to this person (optional)</label>
        <input id="person" autocomplete="off" value={user} onInput={(event) => setUser(event.currentTarget.value)} />
      </div>
      <label class="option">
        <input type="checkbox" checked={onlyLast} onChange={({ currentTarget: { checked } }) => setOnlyLast(checked)} />
        Only what each person was told last
      </label>
      {isBusy && <Loading what="the delivery log" />}
      {found !== undefined && (
        <dl class="rows">
          <dt>Enters to send</dt>
          <dd>{shownCount(found.enters)}</dd>
          <dt>Exits to send</dt>
          <dd>{shownCount(found.exits)}</dd>
          <dt>People</dt>
          <dd>{shownCount(found.people)}</dd>
          <dt>Left out: something newer was told</dt>
          <dd>{shownCount(found.outdated)}</dd>
          <dt>Left out: not of this job any more</dt>
          <dd>{shownCount(found.foreign)}</dd>
        </dl>
      )}
      {isNothing && <p>Nothing to send again.</p>}
    </Dialog>
  );
}
