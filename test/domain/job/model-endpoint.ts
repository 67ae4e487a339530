import type { FailedAttempt, SliceInput, SliceReport } from '../../../src/contract/slice.ts';
import { BatchQueue } from '../../../src/domain/batch-queue.ts';

/** How an endpoint answers one trigger in the model. */
export type Answer =
  | 'ok'
  | 'given up'
  | 'pausing'
  | 'tried again'
  | 500
  | 404
  | 400
  | 410
  | 429
  | '429 now'
  | '503 now'
  | 'source'
  | 'profile'
  | 'unsent';

interface Answered {
  readonly report: SliceReport;
  readonly delivered: number[];
  readonly asked: number;
}

/**
 * What becomes of a slice whose triggers are answered in turn so. `delivered`: places in the slice; `asked`: how many requests were made.
 *
 * @param most how many there can have been; the others were not sent.
 */
export function answerSlice(slice: SliceInput, answers: readonly Answer[], most: number): Answered {
  if (slice.settings.batch !== undefined) return answerBatches(slice, slice.settings.batch.size, answers, most);
  const failed: FailedAttempt[] = [];
  const unsent: number[] = [];
  const delivered: number[] = [];
  let blocked: string | undefined;
  let asked = 0;
  for (const [index, trigger] of slice.triggers.entries()) {
    const drawn = answers[index % Math.max(1, answers.length)] ?? 'ok';
    const isAsked = drawn !== 'source' && drawn !== 'profile' && drawn !== 'unsent';
    const answer = isAsked && asked >= most ? 'unsent' : drawn;
    if (trigger.user !== blocked && answer !== 'unsent' && isAsked) asked++;
    if (trigger.user === blocked || answer === 'unsent') {
      unsent.push(index);
      blocked = trigger.user;
    } else if (answer === 'ok') {
      delivered.push(index);
    } else {
      blocked = trigger.user;
      failed.push({ index, durationMs: 1, ...attemptOf(answer) });
    }
  }
  return { report: { failed, unsent, sendingMs: 10 }, delivered, asked };
}

/** The same in batches: one that has what is refused is refused as a whole, one that has what fails fails so, and at the first that is unsent the slice ends. */
function answerBatches(slice: SliceInput, size: number, answers: readonly Answer[], most: number): Answered {
  const failed: FailedAttempt[] = [];
  const delivered: number[] = [];
  const answerAt = (place: number): Answer => answers[place % Math.max(1, answers.length)] ?? 'ok';
  const queue = new BatchQueue({
    triggers: slice.triggers,
    size,
    isByEvent: false,
  });
  let asked = 0;
  while (!queue.isEmpty && asked < most) {
    const places = queue.next((place) => {
      const answer = answerAt(place);
      if (answer !== 'source' && answer !== 'profile') return 'in';
      failed.push({ index: place, durationMs: 0, ...attemptOf(answer) });
      return 'out';
    });
    const drawn = places.map(answerAt);
    if (drawn.includes('unsent')) break;
    if (places.length > 0) asked++;
    const [first = 0] = places;
    const failure = drawn.find((answer) => answer !== 'ok' && !REFUSALS.has(answer));
    const refusal = drawn.find((answer) => REFUSALS.has(answer));
    if (failure === undefined && refusal === undefined) {
      delivered.push(...places);
      queue.delivered(places);
    } else if (failure === undefined && places.length > 1) queue.halve(places);
    else
      for (const index of places)
        failed.push(
          index === first
            ? { index, durationMs: 1, ...attemptOf((failure ?? refusal) as Exclude<Answer, 'ok' | 'unsent'>) } // One of them is there.
            : { index, durationMs: 1, like: first },
        );
  }
  const settled = new Set([...delivered, ...failed.map(({ index }) => index)]);
  const unsent = [...slice.triggers.keys()].filter((place) => !settled.has(place));
  const halved = queue.halved.filter(([place]) => !settled.has(place));
  return { report: { failed, unsent, sendingMs: 10, requests: asked, halved }, delivered, asked };
}

const REFUSALS: ReadonlySet<Answer> = new Set<Answer>([400, 'given up']);

function attemptOf(answer: Exclude<Answer, 'ok' | 'unsent'>): Partial<FailedAttempt> {
  if (answer === 'given up') return { status: 409, as: 'given-up' };
  if (answer === 'pausing') return { status: 423, as: 'pausing' };
  if (answer === 'tried again') return { status: 400, as: 'transient' };
  if (answer === 'source') return { code: 'SOURCE_UNAVAILABLE' };
  if (answer === 'profile') return { code: 'PROFILE_MISSING' };
  if (answer === '429 now' || answer === '503 now') return { status: Number(answer.slice(0, 3)), retryAfterMs: 0 };
  return answer === 429 ? { status: 429, retryAfterMs: 2000 } : { status: answer };
}
