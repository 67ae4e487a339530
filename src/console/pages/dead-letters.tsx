import { Fragment, type JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useEffect, useState } from 'preact/hooks';
import type { DecisionStatus } from '../../contract/dead-letter.ts';
import type { DeadLetterReport, DeadLetterSummary, DecisionExtent } from '../../client/dead-letters.ts';
import { indentedJson } from '../../words/indented-json.ts';
import { counted, duration, printable, shownCount } from '../../domain/text.ts';
import { shellWord } from '../../words/text.ts';
import { stringifyJson } from '../../domain/json.ts';
import { failureInWords } from '../../domain/verdict.ts';
import { JobLink, startAgain, TriggerRows, WhoCells } from '../about.tsx';
import { ApiFailure, ask, type Fetched, pathOf, useFetched, useAction, useNow } from '../api.ts';
import {
  Clipped,
  Dialog,
  Empty,
  Failure,
  Head,
  Loading,
  Progress,
  State,
  Time,
  Unanswered,
  usePageTitle,
} from '../parts.tsx';
import { useSession } from '../session.tsx';

const LIST_MS = 10_000;
/** While a decision about many is under way. */
const PROGRESS_MS = 1_000;
/** The most that a page shows. */
const MOST = 500;
const MOST_JOBS = 5;

interface Filter {
  readonly job?: string;
  readonly failure?: string;
  readonly user?: string;
}

interface DeadLetterList {
  readonly deadLetters: readonly DeadLetterSummary[];
  readonly hasMore: boolean;
}

/** The page of dead letters, which wait for a decision. */
export function DeadLettersPage(): JSX.Element {
  usePageTitle('Dead letters');
  const { mayOperate, jobs: onlyJobs } = useSession();
  const { query, route } = useLocation();
  const { job, failure: meantFailure, user, letter } = query;
  const filter: Filter = withoutBlanks({ job, failure: meantFailure, user });
  const change = (more: Record<string, string | undefined>): void => {
    const search = new URLSearchParams(withoutBlanks({ ...filter, ...more })).toString();
    route(search === '' ? '/dead-letters' : `/dead-letters?${search}`);
  };
  const needsJob = onlyJobs !== undefined && job === undefined;
  const path = pathOf(['dead-letters'], { jobId: job, failure: meantFailure, user, limit: MOST });
  const list = useFetched<DeadLetterList>(needsJob ? undefined : path, LIST_MS);
  const { value, again } = list;
  const [decision, setDecision] = useState<'redeliver' | 'discard'>();
  const letters = value?.deadLetters ?? [];
  const decisions = useDecisions(again);
  const isFiltered = Object.keys(filter).length > 0;
  return (
    <>
      <div class="page-head">
        <h1>Dead letters</h1>
        {mayOperate && letters.length > 0 && (
          <div class="buttons">
            <button type="button" onClick={() => setDecision('redeliver')}>
              Redeliver {isFiltered ? 'these' : 'all'}
            </button>
            <button type="button" onClick={() => setDecision('discard')}>
              Discard {isFiltered ? 'these' : 'all'}
            </button>
          </div>
        )}
      </div>
      <Decisions decisions={decisions} letters={letters} />
      {needsJob && <JobChoice jobs={onlyJobs} choose={(one) => change({ job: one })} />}
      {isFiltered && (
        <p class="filters">
          {Object.entries(filter).map(([name, value]) => (
            <span key={name} class="tag">
              {name}: <bdi>{printable(value)}</bdi>{' '}
              <button
                type="button"
                class="plain"
                aria-label={`Clear filter: ${name} ${value}`}
                onClick={() => change({ [name]: undefined })}
              >
                ×
              </button>
            </span>
          ))}
        </p>
      )}
      {!needsJob && <Unanswered fetched={list} what="dead letters" />}
      {value !== undefined && letters.length === 0 && (
        <Empty title={isFiltered ? 'No matching dead letters' : 'No dead letters'}>
          <p>
            A trigger becomes a dead letter when the endpoint rejects it or its retries run out. It stays here for 30
            days: redeliver it or discard it.
          </p>
        </Empty>
      )}
      {letters.length > 0 && (
        <>
          {meantFailure === undefined && user === undefined && <Groups job={job} change={change} />}
          <Letters letters={letters} open={(id) => route(withLetter(query, id))} />
          {value?.hasMore === true && <p class="quiet">These are the newest {MOST}. A filter shows older ones.</p>}
        </>
      )}
      {letter !== undefined && <Letter id={letter} onDone={again} onClose={() => change({})} />}
      {decision !== undefined && (
        <Decide
          key={decision}
          what={decision}
          filter={filter}
          onDone={decisions.again}
          onClose={() => setDecision(undefined)}
        />
      )}
    </>
  );
}

/** Leaves out absent and empty values. */
function withoutBlanks(wish: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(wish).filter((one): one is [string, string] => (one[1] ?? '') !== '');
  return Object.fromEntries(entries);
}

function withLetter(query: Record<string, string>, letter: string): string {
  return `/dead-letters?${new URLSearchParams({ ...query, letter }).toString()}`;
}

function JobChoice({ jobs, choose }: { readonly jobs: readonly string[]; readonly choose: (job: string) => void }) {
  return (
    <div class="filters">
      <span class="quiet">Your key covers certain jobs. Choose one:</span>
      {jobs.map((one) => (
        <button type="button" key={one} onClick={() => choose(one)}>
          {printable(one)}
        </button>
      ))}
    </div>
  );
}

interface FailureGroup {
  readonly failure: string;
  readonly letters: number;
  readonly jobs: readonly { readonly jobId: string; readonly letters: number }[];
  readonly oldestDiedAt: string;
  readonly newestDiedAt: string;
}

interface GroupsProps {
  readonly job: string | undefined;
  readonly change: (more: Record<string, string>) => void;
}

/** Grouped by failure and job; largest first. */
function Groups({ job, change }: GroupsProps): JSX.Element | null {
  const path = pathOf(['dead-letters', 'failures'], { jobId: job });
  const { value } = useFetched<{ isPartial: boolean; failures: FailureGroup[] }>(path, LIST_MS);
  if (value === undefined || value.failures.length === 0) return null;
  const more = value.isPartial ? '+' : '';
  return (
    <section class="panel" aria-labelledby="by-failure">
      <h2 id="by-failure">By failure</h2>
      <div class="scroll" tabIndex={0} role="group" aria-labelledby="by-failure">
        <table class="lines">
          <tbody>
            {value.failures.map(({ failure, letters, jobs, oldestDiedAt }) => (
              <tr key={failure} class="by-failure">
                <td class="number">
                  {shownCount(letters)}
                  {more}
                </td>
                <td>
                  <button type="button" class="plain" onClick={() => change({ failure })}>
                    <Clipped text={failure} most={100} />
                  </button>
                </td>
                <td>
                  {jobs.slice(0, MOST_JOBS).map(({ jobId, letters: own }, i) => (
                    <Fragment key={jobId}>
                      {i > 0 && ', '}
                      <button type="button" class="plain" onClick={() => change({ failure, job: jobId })}>
                        <bdi>{printable(jobId)}</bdi>
                      </button>{' '}
                      {shownCount(own)}
                    </Fragment>
                  ))}
                  {jobs.length > MOST_JOBS && <span class="quiet"> and {jobs.length - MOST_JOBS} more jobs</span>}
                </td>
                <td class="quiet number">
                  oldest <Time at={oldestDiedAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Letters(props: { readonly letters: readonly DeadLetterSummary[]; readonly open: (id: string) => void }) {
  return (
    <div class="table-wrap">
      <table class="lines">
        <Head columns={['Failed at', 'Person', 'Event', 'Job', 'Failure', 'Attempts', 'More']} numbers={['Attempts']} />
        <tbody>
          {props.letters.map(({ id, diedAt, user, event, audience, jobId, failure, attempts, notice }) => (
            <tr key={id}>
              <td data-name="Failed at">
                <Time at={diedAt} clock />
              </td>
              <WhoCells {...{ user, event, audience }} />
              <td data-name="Job">
                <JobLink jobId={jobId} />
              </td>
              <td data-name="Failure">
                <Clipped text={failure} most={80} />
                {notice !== undefined && <p class="hint caution">{printable(notice)}</p>}
              </td>
              <td data-name="Attempts" class="number">
                {attempts}
              </td>
              <td data-name="">
                <button
                  type="button"
                  class="plain"
                  aria-label={`Show the dead letter of ${user}`}
                  onClick={() => props.open(id)}
                >
                  Show
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface LetterProps {
  readonly id: string;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

function Letter({ id, onDone, onClose }: LetterProps): JSX.Element {
  const { mayOperate } = useSession();
  const now = useNow();
  const { value: letter, failure, again } = useFetched<DeadLetterReport>(pathOf(['dead-letters', id]));
  const action = useAction();
  const [isForced, setForced] = useState(false);
  const [isDiscarding, setDiscarding] = useState(false);
  const mayDecide = mayOperate && letter?.state === 'waiting';
  const mayAct = mayDecide && (isDiscarding || letter.orphaned !== true);
  const what = isDiscarding ? 'discard' : 'redeliver';
  const force = isForced && !isDiscarding;
  const decide = async (): Promise<void> => {
    const body = force ? { body: { force } } : {};
    const isDone = await action.run(async () =>
      oneDone(await ask(pathOf(['dead-letters', id, what]), { method: 'POST', ...body })),
    );
    onDone();
    if (isDone) onClose();
    // The answer may say now why not, and what would help.
    else again();
  };
  return (
    <Dialog
      title={isDiscarding ? 'Discard this dead letter' : 'A dead letter'}
      isWide
      isDangerous={isDiscarding}
      isBusy={action.isBusy}
      failure={failure ?? action.failure}
      onClose={isDiscarding ? () => setDiscarding(false) : onClose}
      onAction={() => void decide()}
      {...(mayAct ? { action: isDiscarding ? 'Discard permanently' : 'Redeliver' } : {})}
      {...(mayAct ? { command: `triggers dead-letters ${what} ${id}${force ? ' --force' : ''}` } : {})}
    >
      {letter === undefined && failure === undefined && <Loading what="the dead letter" />}
      {letter !== undefined && (
        <>
          <dl class="rows">
            <TriggerRows {...letter} audience={letter.audience.slug} />
            <dt>State</dt>
            <dd>
              <State state={letter.state} {...(letter.state === 'waiting' ? { tone: 'caution' } : {})} />
            </dd>
            <dt>Last attempt</dt>
            <dd>
              {failureInWords(letter.failure)}, <Time at={letter.failure.at} />, {counted(letter.attempts, 'attempt')}{' '}
              in all
            </dd>
            <dt>Answer</dt>
            <dd>
              {letter.failure.answer === undefined ? (
                <span class="quiet">none</span>
              ) : (
                <Clipped text={letter.failure.answer} />
              )}
            </dd>
            {letter.state === 'waiting' && (
              <>
                <dt>Kept for</dt>
                <dd>another {duration(Date.parse(letter.expiresAt) - now)}</dd>
              </>
            )}
            {letter.notice !== undefined && (
              <>
                <dt>Not redelivered</dt>
                <dd class="caution">
                  <Clipped text={letter.notice} />
                </dd>
              </>
            )}
          </dl>
          {letter.orphaned === true && (
            <p class="caution">
              It can never be sent, since its job has ended. To tell the endpoint,{' '}
              {mayOperate ? <a href={startAgain(letter.jobId)}>start the job again</a> : 'start the job again'} and push
              the trigger to it, or send its existing users. Then discard this one.
            </p>
          )}
          {letter.profile !== undefined && (
            <>
              <p class="hint">The profile that was signalled with it:</p>
              <pre tabIndex={0}>{indentedJson(stringifyJson(letter.profile).slice(0, 20_000)).join('\n')}</pre>
            </>
          )}
          {mayDecide && isDiscarding && <p class="bad">It will never be sent. This cannot be undone.</p>}
          {mayDecide && !isDiscarding && (
            <>
              {letter.forceable === true && <Force isForced={isForced} setForced={setForced} />}
              <button type="button" onClick={() => setDiscarding(true)}>
                Discard …
              </button>
            </>
          )}
        </>
      )}
    </Dialog>
  );
}

function Force(props: { readonly isForced: boolean; readonly setForced: (isForced: boolean) => void }): JSX.Element {
  return (
    <label class="option">
      <input
        type="checkbox"
        checked={props.isForced}
        onChange={(event) => props.setForced(event.currentTarget.checked)}
      />
      Send it even if the source now says otherwise (force)
    </label>
  );
}

/** @throws Error with the reason why it was not done */
function oneDone({ failures: [first] }: { readonly failures: readonly { readonly reason: string }[] }): void {
  if (first !== undefined) throw new Error(first.reason);
}

const DECISIONS = pathOf(['decisions']);

/** The decisions about many that the API carries out. @param onEnd is called when one has ended. */
function useDecisions(onEnd: () => void): Fetched<{ readonly decisions: readonly DecisionStatus[] }> {
  const [everyMs, setEveryMs] = useState(LIST_MS);
  const fetched = useFetched<{ readonly decisions: readonly DecisionStatus[] }>(DECISIONS, everyMs);
  const running = fetched.value?.decisions.filter(({ state }) => state === 'running').length ?? 0;
  useEffect(() => {
    setEveryMs(running > 0 ? PROGRESS_MS : LIST_MS);
    return running > 0 ? onEnd : undefined;
  }, [running]);
  return fetched;
}

interface DecisionsProps {
  readonly decisions: ReturnType<typeof useDecisions>;
  /** Dead letters whose people are known. */
  readonly letters: readonly DeadLetterSummary[];
}

/** How far decisions about many are. They go on when nobody looks. */
function Decisions({ decisions: { value, again }, letters }: DecisionsProps): JSX.Element {
  const { mayOperate } = useSession();
  const { isBusy, failure, run } = useAction();
  const users = new Map(letters.map(({ id, user }) => [id, user]));
  const remove = (id: string): void => void run(() => ask(pathOf(['decisions', id]), { method: 'DELETE' })).then(again);
  return (
    <>
      <Failure failure={failure} />
      {value?.decisions.map((decision) => (
        <section key={decision.id} class="panel" aria-label={decisionInWords(decision)}>
          <header>
            <p role="status">{decisionInWords(decision)}</p>
            <span class="quiet small">
              begun <Time at={decision.at} />
              {decision.who !== undefined && ` by ${printable(decision.who)}`}
            </span>
            {mayOperate && (
              <button type="button" disabled={isBusy} onClick={() => remove(decision.id)}>
                {decision.state === 'running' ? 'Stop' : 'Dismiss'}
              </button>
            )}
          </header>
          {decision.state === 'running' && (
            <Progress done={settledOf(decision)} of={decision.letters} what="Dead letters that are decided" />
          )}
          {decision.problem !== undefined && <Clipped text={decision.problem} />}
          {decision.failures.map(({ reason, letters, ids }) => (
            <div key={reason} class="notice caution">
              <p>
                {counted(letters, 'dead letter')} {letters === 1 ? 'was' : 'were'} not: <Clipped text={reason} />
              </p>
              <p>
                {ids.map((id) => (
                  <Fragment key={id}>
                    <a href={`/dead-letters?letter=${encodeURIComponent(id)}`}>
                      <Clipped text={users.get(id) ?? id} most={40} />
                    </a>{' '}
                  </Fragment>
                ))}
                {letters > ids.length && <span class="quiet">and {shownCount(letters - ids.length)} more</span>}
              </p>
            </div>
          ))}
        </section>
      ))}
    </>
  );
}

function settledOf({ done, failures }: DecisionStatus): number {
  return failures.reduce((sum, { letters }) => sum + letters, done);
}

/** `40 dead letters of crm were discarded.` */
function decisionInWords({ action, jobId, state, letters, done }: DecisionStatus): string {
  const of = jobId === undefined ? '' : ` of ${printable(jobId)}`;
  if (state === 'running')
    return `${action === 'discard' ? 'Discarding' : 'Redelivering'} ${counted(letters, 'dead letter')}${of}. You may leave this page.`;
  const verb = done === 1 ? 'was' : 'were';
  const what = action === 'discard' ? 'discarded' : `returned to ${done === 1 ? 'its job' : 'their jobs'}`;
  const rest = {
    done: '',
    stopped: ' Then it was stopped: the others keep waiting.',
    failed: ' Then it failed: the others keep waiting.',
  };
  return `${counted(done, 'dead letter')}${of} ${verb} ${what}.${rest[state]}`;
}

interface DecideProps {
  readonly what: 'redeliver' | 'discard';
  readonly filter: Filter;
  /** Called when the decision has begun. */
  readonly onDone: () => void;
  readonly onClose: () => void;
}

/** Counts the dead letters that the filter selects, then has the API decide them if the number is still the same. */
function Decide({ what, filter: { job, failure: meantFailure, user }, onDone, onClose }: DecideProps): JSX.Element {
  const filter = withoutBlanks({ jobId: job, failure: meantFailure, user });
  const which = Object.keys(filter).length === 0 ? { all: true } : filter;
  const [extent, setExtent] = useState<DecisionExtent>();
  const [isForced, setForced] = useState(false);
  // A repeat after a lost answer begins nothing further.
  const [requestId] = useState(() => crypto.randomUUID());
  const { isBusy, failure, run } = useAction();
  const url = pathOf(['dead-letters', what]);
  const count = async (): Promise<void> => {
    const { extent: selected } = await ask<{ extent: DecisionExtent }>(url, {
      method: 'POST',
      body: { ...which, dryRun: true },
    });
    setExtent(selected);
  };
  const begin = async (letters: number): Promise<void> => {
    const body = { ...which, ...(isForced ? { force: true } : {}), expected: letters, requestId };
    try {
      await ask(pathOf(['dead-letters', what], { background: true }), { method: 'POST', body });
    } catch (error) {
      // They have changed: count them again.
      if (error instanceof ApiFailure && error.code === 'NotAsExpected') setExtent(undefined);
      throw error;
    }
    onDone();
    onClose();
  };
  const name = what === 'redeliver' ? 'Redeliver' : 'Discard';
  const options = [
    job === undefined ? '' : ` --job ${shellWord(job)}`,
    meantFailure === undefined ? '' : ` --failure ${shellWord(meantFailure)}`,
    user === undefined ? '' : ` --user ${shellWord(user)}`,
  ].join('');
  const { letters = 0, neverSent = 0, people = 0, jobs = [] } = extent ?? {};
  return (
    <Dialog
      title={`${name} dead letters`}
      isDangerous={what === 'discard' && extent !== undefined}
      {...{ onClose, isBusy, failure }}
      action={extent === undefined ? 'Count them' : `${name} ${shownCount(letters - neverSent)}`}
      isDisabled={extent !== undefined && letters === neverSent}
      command={`triggers dead-letters ${what}${options === '' ? ' --all' : options}${isForced ? ' --force' : ''}`}
      onAction={() => void run(() => (extent === undefined ? count() : begin(letters)))}
    >
      {extent === undefined ? (
        <p>
          {what === 'redeliver'
            ? 'Each is sent again, after the waiting triggers of its person. You see the count first.'
            : 'Discarded triggers are never sent. You see the count first.'}
        </p>
      ) : (
        <>
          <p>
            {counted(letters, 'dead letter')} about {counted(people, 'person', 'people')}:
          </p>
          <ul>
            {jobs.map(({ jobId, letters: own }) => (
              <li key={jobId}>
                {shownCount(own)} of <JobLink jobId={jobId} />
              </li>
            ))}
          </ul>
          {neverSent > 0 && (
            <p class="caution">
              {neverSent === letters ? 'None of them can' : `${shownCount(neverSent)} of them can never`} be sent, since
              their job has ended. To send to these people, start it again from its page.
            </p>
          )}
          {what === 'discard' && <p>This cannot be undone.</p>}
          {what === 'redeliver' && letters > neverSent && <Force isForced={isForced} setForced={setForced} />}
        </>
      )}
    </Dialog>
  );
}
