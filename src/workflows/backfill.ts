import {
  ApplicationFailure,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type { BackfillCursor, BackfillInput, MemberPage, PageAhead, PageTaken } from '../contract/backfill.ts';
import type { Activities } from '../contract/ports.ts';
import { refuseNewer } from '../domain/errors.ts';
import { PAGE_IDS, PAGES_AHEAD } from '../domain/limits.ts';
import { eventsOf } from '../domain/job/operating.ts';
import { jobIdOf } from '../domain/names.ts';
import { pageAgainMs } from '../domain/retry.ts';
import { INTERNAL, isFull } from './answering.ts';
import { continueAsNewOnCurrentBuild, isNextRunWanted } from './next-run.ts';
import { pageSignal, pageTakenSignal } from './messages.ts';

// Retries a source that is down without end: a backfill waits rather than give up.
const { listMembers } = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '15 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});

// Each page asks the source about all who are on it, or the delivery log about all that was told since.
const { listDifference, listTold } = proxyActivities<Activities>({
  startToCloseTimeout: '2 minutes',
  heartbeatTimeout: '15 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});

const { forgetDifference } = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  retry: { maximumAttempts: 3 },
});

const { countMembers } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  retry: { maximumAttempts: 2 },
});

/** A page that the job has no room for is sent again after this long, then at growing intervals, … */
const FULL_AGAIN_MS = 1_000;
/** … up to this. */
const MOST_FULL_AGAIN_MS = 60_000;
/** How long, in ms, after an attempt its row is surely in the delivery log, if the log is not away. */
const LOG_LAG_MS = 1_000;
/** After this many pages a run continues as new, so that its history stays short. */
const PAGES_PER_RUN = 500;

/**
 * Pages through the members of a job's audiences, through a difference or what is told again, and hands their ids to the job. It is never more than a few
 * pages ahead of the job. It outlives the job's continue-as-new (it knows the job by workflow id alone) and continues as new by itself.
 *
 * @returns how many pages there were.
 */
export async function backfill(input: BackfillInput): Promise<{ readonly pages: number }> {
  refuseNewer('The state of this backfill', input);
  const { jobWorkflowId, n, audiences, carried } = input;
  let { expected, isCounted = false } = carried;
  let next: BackfillCursor | undefined = carried.next;
  let ahead: readonly PageAhead[] = carried.ahead;
  let again: PageTaken | undefined;
  let isUnwanted = false;
  /** How many times in a row the oldest page was sent again without success. */
  let unanswered = 0;
  let pagesInRun = 0;
  let lastPage = 0;

  const hear = (answer: PageTaken): void => {
    if (answer.n !== n) return;
    if (answer.gone === true) isUnwanted = true;
    else if (answer.readAgain === true) again = answer;
    else ahead = ahead.filter(({ page }) => page.number > answer.number);
  };
  setHandler(pageTakenSignal, hear, { description: INTERNAL });

  for (;;) {
    if (isUnwanted) break;
    const goBackTo = ahead.find(({ page }) => page.number === again?.number);
    if (again !== undefined) {
      if (again.afterMs !== undefined) await sleep(again.afterMs, { summary: 'the page is read again' });
      again = undefined;
      if (goBackTo !== undefined) {
        // Later pages depend on that page, so they are read again too.
        ahead = ahead.filter(({ page }) => page.number < goBackTo.page.number);
        next = goBackTo.from;
      }
    } else if (next !== undefined && ahead.length < PAGES_AHEAD) {
      if (!isCounted) {
        const asked = input.replay ?? input.difference;
        expected = asked === undefined ? await count(audiences) : asked.enters + asked.exits;
        // Workers write behind their requests: what was told until now is in the log then.
        if (input.replay !== undefined) await sleep(LOG_LAG_MS, { summary: 'the delivery log is written' });
        isCounted = true;
      }
      const read = await readPage(input, next, expected);
      ahead = [...ahead, { from: next, page: read.page }];
      next = read.next;
      lastPage = read.page.number;
      pagesInRun++;
      await sendPage(jobWorkflowId, read.page);
      setCurrentDetails(
        `Backfill ${n}: ${lastPage} pages read; audience ${1 + (next?.audience ?? audiences.length - 1)} of ${audiences.length}.`,
      );
    } else if (ahead[0] !== undefined) {
      const oldest = ahead[0].page;
      const isAnswered = () => isUnwanted || again !== undefined || ahead[0]?.page !== oldest;
      const answered = await condition(isAnswered, pageAgainMs(unanswered));
      // A job that already has the page drops it, and answers again in case its answer was lost.
      if (!answered) await sendPage(jobWorkflowId, oldest);
      unanswered = answered ? 0 : unanswered + 1;
    } else break;
    if (again === undefined && (pagesInRun >= PAGES_PER_RUN || isNextRunWanted())) {
      const counted = { isCounted, ...(expected === undefined ? {} : { expected }) };
      const carried = { ...counted, ahead, ...(next === undefined ? {} : { next }) };
      await continueAsNewOnCurrentBuild<typeof backfill>([{ ...input, carried }]);
    }
  }
  // A cancelled backfill may have to continue when its job is resumed, so it never gets here.
  if (input.difference !== undefined) await forgetDifference(input.difference.id).catch(() => undefined);
  return { pages: lastPage };
}

/** The source's count of members; undefined when it gives none, or not at once, since nothing depends on it. */
async function count(audiences: readonly string[]): Promise<number | undefined> {
  try {
    return (await countMembers(audiences)) ?? undefined;
  } catch (error) {
    if (isCancellation(error)) throw error;
    return undefined;
  }
}

async function readPage(
  input: BackfillInput,
  from: BackfillCursor,
  expected: number | undefined,
): Promise<{ page: MemberPage; next: BackfillCursor | undefined }> {
  const { subscriptionId, n, audiences, restarts = 0, replay } = input;
  const audience = audiences[from.audience];
  if (audience === undefined)
    throw ApplicationFailure.nonRetryable(
      'A backfill needs an audience, and its input has none. Ask a job for one.',
      'NoAudience',
    );
  // Taken before the source is asked: its answer may or may not contain changes made while it reads.
  const readAt = Date.now();
  const { next: after, ...read } = await readMembers(input, audience, from.after ?? null);
  // A replay reads all of its audiences at once.
  const next = nextCursor(from, after, replay === undefined ? audiences.length : 1);
  return {
    page: {
      subscriptionId,
      n,
      number: from.page,
      audience,
      readAt,
      ...read,
      ...(expected === undefined ? {} : { expected }),
      last: next === undefined,
      ...(next === undefined ? {} : { next }),
      ...(restarts === 0 ? {} : { restarts }),
    },
    next,
  };
}

type ReadMembers = Pick<MemberPage, 'ids' | 'exits' | 'told' | 'outdated'> & { readonly next?: string };

async function readMembers(input: BackfillInput, audience: string, after: string | null): Promise<ReadMembers> {
  const { jobWorkflowId, subscriptionId, n, pageBytes, difference, replay, told = [] } = input;
  if (replay !== undefined) {
    const { newIds = false, ...filter } = replay;
    const only = told.map(({ slug }) => slug);
    const of = { jobId: jobIdOf(jobWorkflowId), subscriptionId, audiences: told, events: eventsOf(input), only };
    return { ids: [], ...(await listTold({ ...filter, ...of }, after, pageBytes, newIds ? n : 0)) };
  }
  if (difference === undefined) return await listMembers(audience, after, PAGE_IDS, pageBytes);
  const { exits, outdated, ...read } = await listDifference(difference.id, audience, after, pageBytes);
  return {
    ...read,
    ...(exits.length === 0 ? {} : { exits }),
    ...(outdated === 0 ? {} : { outdated }),
  };
}

function nextCursor(from: BackfillCursor, after: string | undefined, audiences: number): BackfillCursor | undefined {
  const page = from.page + 1;
  if (after !== undefined) return { page, audience: from.audience, after };
  return from.audience + 1 < audiences ? { page, audience: from.audience + 1 } : undefined;
}

/** Signals a page. A run that has had all the signals that the server allows takes no more: the next run does, which may take a while. */
async function sendPage(jobWorkflowId: string, page: MemberPage): Promise<void> {
  for (let waitMs = FULL_AGAIN_MS; ; waitMs = Math.min(waitMs * 2, MOST_FULL_AGAIN_MS)) {
    try {
      return await getExternalWorkflowHandle(jobWorkflowId).signal(pageSignal, page);
    } catch (error) {
      if (isCancellation(error)) throw error;
      if (!isFull(error)) throw jobGone(jobWorkflowId, error);
    }
    await sleep(waitMs, { summary: 'the page is sent again: the run of the job has had all its signals' });
  }
}

function jobGone(jobWorkflowId: string, error: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    message: `The job ${jobWorkflowId} no longer takes pages; its backfill ends.`,
    type: 'JobGone',
    nonRetryable: true,
    ...(error instanceof Error ? { cause: error } : {}),
  });
}
