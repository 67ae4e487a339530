import type { JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { AudienceList } from '../../contract/audience.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { hasStopped } from '../../domain/job-state.ts';
import { kindOfBackfill } from '../../words/status-rows.ts';
import { counted, printable, shownCount } from '../../domain/text.ts';
import { shellWord, capital } from '../../words/text.ts';
import { startAgain } from '../about.tsx';
import { Reason, reasonOf, reasonOption, Typed } from '../action-inputs.tsx';
import { ask, pathOf, useAction, useFetched, useSteady } from '../api.ts';
import { ActionDialog, Dialog, Failure } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { isIdle, type JobAction, type JobActionProps, useSlots } from '../slots.ts';
import { membersOf } from './job-form.tsx';

/** The actions that a person may take on a job now. */
export function JobActions({ status, onDone }: Omit<JobActionProps, 'onClose'>): JSX.Element | null {
  const { mayOperate } = useSession();
  const { jobActions } = useSlots();
  const [open, setOpen] = useState<JobAction>();
  const buttons = useFocusAfterActions(open !== undefined);
  if (!mayOperate) return null;
  const actions = [...ACTIONS, ...jobActions, STOP].filter(({ isOffered }) => isOffered(status));
  return (
    <div class="buttons" ref={buttons} tabIndex={-1}>
      {actions.map((action) => (
        <button type="button" key={action.name} onClick={() => setOpen(action)}>
          {action.name}
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
      {open !== undefined && <open.Dialog {...{ status, onDone, onClose: () => setOpen(undefined) }} />}
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

interface PlainAction {
  /** The action's name in the API and as a command. */
  readonly action: 'pause' | 'resume' | 'retry';
  readonly name: string;
  readonly meaning: (status: JobStatus) => string;
  readonly asksWhy?: boolean;
}

/** The dialogue of a command that needs only a confirmation. */
function plain({ action, name, meaning, asksWhy = false }: PlainAction): JobAction['Dialog'] {
  return function Plain({ status, onDone, onClose }) {
    const { jobId, label } = status;
    const [reason, setReason] = useState('');
    return (
      <ActionDialog
        title={`${name} “${printable(label)}”`}
        action={name}
        command={`triggers ${action} ${jobId}${reasonOption(reason)}`}
        isOnlyAsking={!asksWhy}
        run={() => ask(pathOf(['jobs', jobId, action]), { method: 'POST', body: reasonOf(reason) })}
        {...{ onDone, onClose }}
      >
        <p>{meaning(status)}</p>
        {asksWhy && <Reason value={reason} onInput={setReason} isFirst />}
      </ActionDialog>
    );
  };
}

function retryMeaning(status: JobStatus): string {
  const { delayed, waiting, endpoint } = status;
  if (endpoint?.state === 'unhealthy') {
    const others = waiting > 1 ? ` If the endpoint accepts it, the other ${shownCount(waiting - 1)} follow.` : '';
    return `One request is sent now.${others}`;
  }
  const who = delayed === 1 ? "1 person's trigger" : `the triggers of ${shownCount(delayed)} people`;
  return `${delayed === 0 ? 'The job asks the endpoint now, also if it was asked to wait.' : `Retry ${who} now instead of waiting.`}${limitsOf(status)}`;
}

/** The settings of a job that can keep triggers waiting, in words. */
function limitsOf({ quota, quietHours }: JobStatus): string {
  const limits = [...(quota === null ? [] : ['quota']), ...(quietHours === null ? [] : ['quiet hours'])];
  return limits.length === 0 ? '' : ` Its ${limits.join(' and ')} still apply, so some may go later.`;
}

/** Whether the job is neither over nor about to be. */
function isUnderWay({ state }: JobStatus): boolean {
  return !hasStopped(state) && state !== 'starting' && state !== 'stopping';
}

const WAITING = [
  ['deliver', 'Send them first', 'The job stops when all are sent, after an hour at the latest. It keeps the rest.'],
  ['keep', 'Keep them', 'The job stops now. Resume it to send them.'],
  ['discard', 'Discard them', 'The job stops now. They are never sent. This cannot be undone.'],
] as const;

function StopDialog({ status, onDone, onClose }: JobActionProps): JSX.Element {
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

function BackfillDialog({ status, onDone, onClose }: JobActionProps): JSX.Element {
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
export function BackfillActions({ status, onDone }: Omit<JobActionProps, 'onClose'>): JSX.Element | null {
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

// The first ones come and go; the other buttons keep their places.
const ACTIONS: readonly JobAction[] = [
  {
    name: 'Retry now',
    isOffered: ({ state, waiting, endpoint }) => state === 'running' && (waiting > 0 || endpoint !== undefined),
    Dialog: plain({ action: 'retry', name: 'Retry now', meaning: retryMeaning }),
  },
  {
    name: 'Resume',
    isOffered: (status) =>
      (status.state === 'paused' || status.kept !== undefined) && status.recoverableUntil === undefined,
    Dialog: plain({
      action: 'resume',
      name: 'Resume',
      meaning: (status) =>
        `The job sends its ${counted(status.kept?.waiting ?? status.waiting, 'waiting trigger')}, then continues as before.${limitsOf(status)}`,
    }),
  },
  {
    name: 'Pause',
    isOffered: (status) => isUnderWay(status) && status.state !== 'paused',
    Dialog: plain({
      action: 'pause',
      name: 'Pause',
      meaning: () => 'Requests in flight finish; no new ones start until you resume the job. New triggers wait.',
      asksWhy: true,
    }),
  },
  { name: 'Backfill', isOffered: isIdle, Dialog: BackfillDialog },
];
const STOP: JobAction = {
  name: 'Stop',
  isOffered: ({ state, kept, recoverableUntil }) =>
    recoverableUntil === undefined && (!hasStopped(state) || kept !== undefined),
  Dialog: StopDialog,
};
