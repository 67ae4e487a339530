import { wantsEvent } from '../trigger.ts';
import type { By, Deed, RevisionAnswer } from '../../contract/audit.ts';
import type { SentInstead } from '../../contract/backfill.ts';
import type { JobDefinition, Problem } from '../../contract/export-job.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import type { Calendar } from '../../contract/timing.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import { instantOf, parseInstant } from '../instant.ts';
import { definedOf, isRecord } from '../json.ts';
import { readBy, UNKNOWN } from '../requests.ts';
import { uniqueAt } from './arriving.ts';
import { changedFields, pick, shownChanges } from './audit-log.ts';
import { askedFor } from './backfill-requests.ts';
import { ENDED, shownForm } from './describing.ts';
import { WHEN_LOST, lostInWords } from './describing-backfills.ts';
import { BackfillIntake } from './backfill.ts';
import { beginJob, recordJob } from './carrying.ts';
import { formOf, withoutAnswers, type JobRecord, type Stopping, isStopped } from './job.ts';
import { type DispatcherState, setJob, countDiscarded, countLeft, waitingTriggers } from './state.ts';
import { gatherNoLonger } from './throttles/batching.ts';
import { Breaker, UNPROVEN } from './throttles/breaker.ts';
import { calendarBarsUntil } from './throttles/calendar.ts';
import { edited } from './throttles/throttles.ts';

/** A worker's answer about a definition, as a client passes it on to the job. */
export type PreparedInput = Extract<PreparedJob, { ok: true }> & { readonly v: 1; readonly by?: By };

/** Whether a job's input is a worker's answer about a definition, rather than the definition. */
export function isPreparedJob(input: unknown): input is PreparedInput {
  if (!isRecord(input) || input['v'] !== 1 || input['ok'] !== true) return false;
  return isRecord(input['definition']) && Array.isArray(input['audiences']) && isRecord(input['serverLimits']);
}

/**
 * Begins a job whose definition was checked; with Existing Users, with a backfill.
 *
 * @param subscriptionId 32 hexadecimal digits, new.
 * @param startedAt when the job was started, epoch ms: the `at` of its backfill, which a reset does not change.
 */
export function beginPreparedJob(
  subscriptionId: string,
  prepared: Extract<PreparedJob, { ok: true }> & Pick<PreparedInput, 'by'>,
  now: number,
  startedAt: number,
): DispatcherState {
  // The first digits of a run's id are the time at which it began.
  const seed = Number.parseInt(subscriptionId.slice(-8), 16) | 0;
  const state = beginJob(recordJob(subscriptionId, prepared), seed);
  const audiences = state.job.audiences.map(({ id }) => id);
  note(state, { action: 'start', revision: state.job.revision }, readBy(prepared.by), startedAt);
  if (prepared.definition.existingUsers) beginBackfill(state, audiences, now, { at: uniqueAt(state, startedAt) });
  return state;
}

/** Notes what somebody did. */
export function note(state: DispatcherState, deed: Deed, by: By, now: number): void {
  state.audit.add({ at: instantOf(now), ...by, ...deed });
}

/** Stops sending but keeps accepting. */
export function pauseJob(state: DispatcherState, { who, reason }: Partial<By> = {}): void {
  state.pause = { by: 'operator', ...definedOf({ who, reason }) };
}

/**
 * Sends again, whoever paused it. The wait that the endpoint asked for is over, and its failures are forgotten. An endpoint that has yet to
 * accept its first request still gets one at a time.
 */
export function resumeJob(state: DispatcherState): void {
  state.pause = undefined;
  state.endpointWait = undefined;
  state.breaker = state.breaker.anew();
}

/**
 * Retries now, since an operator has fixed the endpoint: the next probe goes at once, and so does every trigger that waits for its next
 * attempt once the endpoint is healthy. No attempt is forgotten.
 */
export function retryNow(state: DispatcherState, now: number): void {
  state.endpointWait = undefined;
  state.breaker = state.breaker.probingFrom(now);
  state.chains.promoteAll();
  if (state.unreadable !== undefined) state.unreadable = { ...state.unreadable, retryAt: now };
  gatherNoLonger(state);
}

/** Returns why a checked edit cannot take effect now; undefined when it can. */
export function editObstacle({ backfill }: DispatcherState, definition: JobDefinition): Problem | undefined {
  if (backfill?.isUnfinished !== true) return undefined;
  return eventsObstacle({ n: backfill.n, ...backfill.instead }, definition);
}

/** The same, while this backfill is not over. */
export function eventsObstacle(
  { n, ...instead }: SentInstead & { readonly n: number },
  definition: Pick<JobDefinition, 'events'>,
): Problem | undefined {
  const unwanted = eventsOf(instead).find((event) => !wantsEvent(definition, event));
  if (unwanted === undefined) return undefined;
  return {
    field: 'events',
    message: `Backfill ${n} sends ${unwanted}s and is not over. Wait for its end, or cancel it first.`,
  };
}

/** The events that a backfill sends. */
export function eventsOf({ replay, difference }: SentInstead): TriggerEvent[] {
  const { enters, exits } = replay ?? difference ?? { enters: 1, exits: 0 };
  return [...(enters > 0 ? ['enter' as const] : []), ...(exits > 0 ? ['exit' as const] : [])];
}

/** Puts a checked edit into effect, from the next slice on. */
export function applyEdit(state: DispatcherState, job: JobRecord, now: number, by = UNKNOWN): void {
  const before = state.job.definition;
  noteEdit(state, job, now, by);
  setJob(state, job);
  state.editProblem = undefined;
  edited(state, now);
  for (const { id } of job.formerAudiences) state.backfill?.dropAudience(id);
  if (isSameEndpoint(before, job.definition)) {
    // Earlier failures say nothing under the new meaning of answers.
    const { isOpen, isDoubtful } = state.breaker;
    if (isSameJudge(before, job.definition) || !(isOpen || isDoubtful)) return;
    state.breaker = state.breaker.anew();
    state.chains.promoteAll();
    return;
  }
  // It is another endpoint, or gets other requests: answers to the old ones say nothing about these.
  state.endpointWait = undefined;
  state.breaker = new Breaker(UNPROVEN);
  if (state.pause?.by === 'endpoint') state.pause = undefined;
  state.chains.promoteAll();
}

function noteEdit(state: DispatcherState, after: JobRecord, now: number, by: By): void {
  const { job: before, audit } = state;
  const was = formOf(before.definition, before.audiences);
  const fields = changedFields(was, formOf(after.definition, after.audiences));
  if (fields.length === 0) return;
  const [from = {}, to = {}] = [before, after].map((one) => shownForm(one.definition, slugsOf(one)));
  const changes = shownChanges(fields, from, to);
  const { revision } = after;
  note(state, { action: 'edit', revision, changes }, by, now);
  audit.keep(revision, pick(was, fields));
}

function slugsOf({ audiences }: JobRecord): string[] {
  return audiences.map(({ slug }) => slug);
}

/** How to take a job back to a revision, if it still knows that one. */
export function describeRevision({ job, audit }: DispatcherState, wanted: unknown): RevisionAnswer {
  const { revision: current } = job;
  const oldest = audit.oldestRevision(current);
  const isKnown = typeof wanted === 'number' && Number.isInteger(wanted) && wanted >= oldest && wanted <= current;
  return {
    oldest,
    current,
    ...(isKnown ? { edit: audit.takingBack(wanted, formOf(job.definition, job.audiences)) } : {}),
  };
}

/** Takes in the calendar for this revision of the job. An edit since then has brought its own. */
export function calendarRead(state: DispatcherState, revision: number, calendar: Calendar | undefined): void {
  if (state.job.revision !== revision || calendar === undefined) return;
  setJob(state, { ...state.job, calendar });
}

function isSameEndpoint(a: JobDefinition, b: JobDefinition): boolean {
  if (a.webhookUrl !== b.webhookUrl || a.authorization !== b.authorization) return false;
  return JSON.stringify(requestsOf(a)) === JSON.stringify(requestsOf(b));
}

function isSameJudge(a: JobDefinition, b: JobDefinition): boolean {
  const answersOf = ({ answers, onEnter, onExit }: JobDefinition) => [answers, onEnter?.answers, onExit?.answers];
  return JSON.stringify(answersOf(a)) === JSON.stringify(answersOf(b));
}

/** The shape of requests, without the meaning of their answers. */
function requestsOf({
  method,
  headers,
  contentType,
  body,
  onEnter,
  onExit,
  envelope,
  batch,
}: JobDefinition): unknown[] {
  const isList = batch !== null;
  return [method, headers, contentType, body, withoutAnswers(onEnter), withoutAnswers(onExit), envelope, isList];
}

/** Records why an edit did not take effect. Bounded, since it is carried and shown. */
export function refuseEdit(state: DispatcherState, problem: string): void {
  state.editProblem = problem.length <= PROBLEM_LENGTH ? problem : `${problem.slice(0, PROBLEM_LENGTH)} …`;
}

const PROBLEM_LENGTH = 1000;

/** Why a stopped job accepts no other requests from operators. */
export const STOPPED = 'The job has stopped. Resume it first.';

/** Why a stopping job accepts no further requests from operators. */
export const STOPPING =
  'The job is stopping. To undo that, unless it drops what waits, stop it with "keep", and then resume it. Otherwise start it again then.';

/** Returns why a backfill cannot begin now, for people; undefined when it can. */
export function backfillObstacle(state: DispatcherState, instead: SentInstead = {}): string | undefined {
  if (isStopped(state)) return STOPPED;
  if (state.stopping !== undefined) return STOPPING;
  if (state.backfill?.isLost === true) return `${lostInWords(state.backfill)} ${WHEN_LOST}`;
  if (state.backfill?.isUnderWay === true)
    return `Backfill ${state.backfill.n} is still running. Wait for its end, or cancel it first.`;
  const unwanted = eventsOf(instead).find((event) => !wantsEvent(state.job.definition, event));
  if (unwanted === undefined) return undefined;
  if (instead.replay !== undefined)
    return `This replay has ${unwanted}s, and the job leaves them out ("events"). Ask for it again: only what the job sends is sent again then.`;
  return instead.difference === undefined
    ? 'A backfill sends enters, and this job leaves them out ("events"). Edit the job so that it sends both events.'
    : `This difference has ${unwanted}s, and the job leaves them out ("events"). Reconcile it again: only what it sends is compared then.`;
}

interface BackfillOptions {
  readonly requestId?: string | undefined;
  /** The content of its request (`askedFor`); default: these audiences and this sample. */
  readonly content?: string | undefined;
  /** Pause after this many members, until a person resumes it. */
  readonly sample?: number | undefined;
  /** The `at` of its triggers; default: now. */
  readonly at?: string | undefined;
  readonly instead?: SentInstead | undefined;
}

/**
 * Begins a backfill, unless one with this `requestId` was requested before.
 *
 * @param audiences canonical ids.
 */
export function beginBackfill(
  state: DispatcherState,
  audiences: readonly string[],
  now: number,
  { requestId, sample, instead, content = askedFor(audiences, sample, instead), at: own }: BackfillOptions = {},
): void {
  if (requestId !== undefined && state.backfillRequests.standing(requestId, state.backfill) !== undefined) return;
  const n = (state.backfill?.n ?? 0) + 1;
  state.backfillRequests.remember(requestId, content, n, state.backfill);
  const at = own ?? uniqueAt(state, now);
  const few = sample === undefined ? {} : { sample };
  state.backfill = BackfillIntake.begin({ n, ...few, audiences, at, now, instead });
}

/**
 * Pauses, resumes or cancels a running backfill; returns why it cannot, for people. A lost one resumes where it had stopped. After a
 * cancel, triggers already in chains are still sent.
 */
export function operateBackfill(state: DispatcherState, action: 'pause' | 'resume' | 'cancel'): string | undefined {
  const { backfill } = state;
  if (backfill?.isLost === true) {
    if (action === 'pause') return `${lostInWords(backfill)} ${WHEN_LOST}`;
    if (action === 'resume') restartBackfill(state);
  } else if (backfill?.state !== 'running') return 'No backfill is running.';
  if (action === 'pause') backfill.pace.pause();
  if (action === 'resume') backfill.pace.resume();
  if (action === 'cancel') cancelBackfill(state);
  return undefined;
}

/** Runs a stopped job again. It forgets an end that has passed meanwhile, or it would stop again at once. A pause remains. */
export function runAgain(state: DispatcherState, now: number): void {
  state.stopping = undefined;
  const end = plannedEnd(state);
  if (end !== undefined && end <= now) withoutEnd(state);
}

function withoutEnd(state: DispatcherState): void {
  const { job } = state;
  setJob(state, { ...job, definition: { ...job.definition, endsAt: null } });
}

/** How long, by default, a stopping job keeps sending its backlog before it keeps the rest. */
export const STOP_DEADLINE_MS = 60 * 60_000;

/**
 * Ends sending, after treating the waiting triggers as `waiting` says. Only a job that keeps them can be resumed.
 *
 * @param deadlineAt epoch ms; with `deliver`: when the rest is kept.
 */
export function stopJob(state: DispatcherState, waiting: Stopping['waiting'], deadlineAt?: number): void {
  // Some of the triggers to drop may already be gone, so there is no way back.
  if (state.stopping?.waiting !== 'discard')
    state.stopping = { waiting, ...(waiting === 'deliver' && deadlineAt !== undefined ? { deadlineAt } : {}) };
  // A job that delivers its backlog cannot stay paused; one that keeps or discards it need not send.
  if (waiting === 'deliver') resumeJob(state);
  if (waiting === 'keep') suspendBackfill(state);
}

/** When a running job stops by itself, epoch ms; undefined: only when somebody stops it. */
export function plannedEnd({ job, stopping }: Pick<DispatcherState, 'job' | 'stopping'>): number | undefined {
  const { endsAt } = job.definition;
  const instant = endsAt === null || stopping !== undefined ? undefined : parseInstant(endsAt);
  return instant === undefined ? undefined : Date.parse(instant);
}

/**
 * Stops a job whose end has come. It sends its backlog first; a paused job keeps it, since a pause means that nothing is to be sent. The
 * end is then removed from the form: a resumed job continues without one.
 */
export function endByItself(state: DispatcherState, now: number): void {
  const end = plannedEnd(state);
  if (end === undefined || end > now) return;
  const { pause } = state;
  withoutEnd(state);
  state.stopping =
    pause === undefined
      ? { waiting: 'deliver', deadlineAt: sendsFrom(state, now) + STOP_DEADLINE_MS, isPlanned: true }
      : { waiting: 'keep', isPlanned: true };
  if (pause !== undefined) suspendBackfill(state);
  const { waiting } = state.stopping;
  state.audit.add({ at: instantOf(now), action: 'stop', who: 'job', door: 'job', reason: ENDED, waiting });
}

/** When the calendar lets it send; epoch ms. */
function sendsFrom(state: DispatcherState, now: number): number {
  const until = calendarBarsUntil(state, now);
  return until === Infinity ? now : Math.max(now, until);
}

/**
 * Keeps the triggers that a job could not deliver before its stop: at its deadline, or as soon as only a backfill that goes no further is
 * left. A person decides about that backfill: its members must neither be sent regardless, nor be left out.
 */
export function endDelivering(state: DispatcherState, now: number): void {
  const { stopping, chains, overflow, deadLetters, backfill } = state;
  if (stopping?.waiting !== 'deliver') return;
  const isOver = stopping.deadlineAt !== undefined && stopping.deadlineAt <= now;
  const isSent = chains.triggers === 0 && overflow.isEmpty && deadLetters.size === 0;
  if (!isOver && !(isSent && backfill?.isHeldBack === true)) return;
  state.stopping = { waiting: 'keep', ...(stopping.isPlanned === true ? { isPlanned: true } : {}) };
  suspendBackfill(state);
}

/**
 * Suspends the backfill of a job that stops and keeps its backlog: the members already read, as they were then, and the place where the
 * next ones are read. Its child ends; another one continues when the job is resumed.
 */
function suspendBackfill(state: DispatcherState): void {
  const { backfill } = state;
  if (backfill?.state !== 'running') return;
  if (backfill.started && backfill.needsChild) state.backfillToCancel = backfill.n;
  restartBackfill(state);
}

/** Ends a backfill that is running or lost; triggers already in chains are still sent. */
export function cancelBackfill(state: DispatcherState): void {
  const { backfill } = state;
  if (backfill?.state === 'running' && backfill.started) state.backfillToCancel = backfill.n;
  backfill?.cancel();
}

/** Looks for the child of backfill `n` at once, if it is needed, since it could not be signalled. */
export function missBackfill({ backfill }: DispatcherState, n: number): void {
  if (backfill?.n === n) backfill.heardAt = 0;
}

/** Handles that the child of backfill `n` is gone, or could not be started. If it had read all members, nothing is missing. */
export function backfillChildGone(state: DispatcherState, n: number): void {
  const { backfill } = state;
  if (backfill?.n !== n || !backfill.needsChild) return;
  if (backfill.expectsPages) backfill.lose();
  else restartBackfill(state);
}

/** Lets another child continue the backfill: messages still owed to the old one do not concern the new one. */
function restartBackfill(state: DispatcherState): void {
  state.backfill?.restart();
  state.pageToReadAgain = undefined;
  state.unwantedPage = undefined;
}

/** Marks a job that keeps its backlog as stopped: call it when nothing is under way. */
export function endStopping(state: DispatcherState, now: number): void {
  const { stopping } = state;
  if (stopping?.waiting === 'keep' && !isStopped(state)) state.stopping = { ...stopping, stoppedAt: now };
}

/**
 * Drops everything that is waiting, wherever it is, and members that a backfill has found. Triggers in a slice are dropped when the slice
 * gives them back.
 */
export function discardWaiting(state: DispatcherState): void {
  const before = waitingTriggers(state);
  cancelBackfill(state);
  countLeft(state, state.chains.discard(), 'discarded');
  dropOverflow(state);
  countDiscarded(state, before - waitingTriggers(state));
}

/**
 * Drops what waits for a person, also members that a backfill has found. Triggers in a slice stay, and so do those on their way to becoming
 * dead letters. Whatever comes later is sent.
 */
export function forgetPerson(state: DispatcherState, user: string): void {
  const { backfill, chains, overflow } = state;
  const before = waitingTriggers(state);
  for (const audience of backfill?.audiences ?? []) backfill?.supersede(user, audience);
  countLeft(state, chains.dropOf(user), 'discarded');
  overflow.forget(user);
  countDiscarded(state, before - waitingTriggers(state));
}

function dropOverflow(state: DispatcherState): void {
  const { overflow, owedDrops } = state;
  // A holder that is being started might begin after it was told to end, and stay forever, so let it start first.
  if (overflow.isEmpty || overflow.isLeaving) return;
  owedDrops.push(...overflow.discard().map(String));
  state.unreadable = undefined;
}
