import { SourceError, SourceUnavailable } from '../sources/source.ts';

/** What a worker needs in order to do its work. */
export interface ReadinessOptions {
  readonly isPolling: () => boolean;
  /** Why Temporal cannot be worked with; undefined when it can. Never rejects. */
  readonly temporalProblem: () => Promise<string | undefined>;
  /** Rejects when the audience source does not answer. */
  readonly sourceAnswers: () => Promise<void>;
  /** Why the configuration, as it is now, cannot be used; undefined when it can. */
  readonly configProblem: () => string | undefined;
  /** Which jobs wait for a payload key that is not here; undefined when none does. */
  readonly payloadKeyProblem: () => string | undefined;
}

/** How long, in ms, an answer of Temporal or of the source is used again, so that whoever asks often costs them nothing. */
const KEPT_MS = 5_000;
/** Longest wait, in ms, for the source, and for Temporal, which gives up a moment earlier by itself. */
const SOURCE_MS = 3_000;
const TEMPORAL_MS = 2_500;

/**
 * Whether a worker can do its work, for `/readyz`: it polls, Temporal and the audience source answer, and its configuration can be used. What it says
 * ends no process: a worker that waits for what is away would wait just the same after a restart.
 */
export class Readiness {
  #state: 'starting' | 'running' | 'ending' = 'starting';
  #checks: readonly (() => Promise<string | undefined>)[] = [];

  /** From now on the worker works with these. */
  begin(options: ReadinessOptions): void {
    const { isPolling, temporalProblem, sourceAnswers, configProblem, payloadKeyProblem } = options;
    const source = async (): Promise<string | undefined> => {
      try {
        await sourceAnswers();
        return undefined;
      } catch (error) {
        return `The audience source does not answer.${shownReason(error)}`;
      }
    };
    this.#state = 'running';
    this.#checks = [
      () => Promise.resolve(isPolling() ? undefined : 'The worker does not ask Temporal for work.'),
      keptAnswer(temporalProblem, TEMPORAL_MS, 'Temporal does not answer.'),
      keptAnswer(source, SOURCE_MS, `The audience source has not answered within ${SOURCE_MS / 1000} s.`),
      () => Promise.resolve(configProblem()),
      () => Promise.resolve(payloadKeyProblem()),
    ];
  }

  /** From now on it takes no more work. */
  end(): void {
    this.#state = 'ending';
  }

  /** All that is in the way at the moment, in words; undefined when nothing is. Resolves within some seconds. */
  async problem(): Promise<string | undefined> {
    if (this.#state === 'starting') return 'The worker is being started.';
    if (this.#state === 'ending') return 'The worker is being ended.';
    const problems = await Promise.all(this.#checks.map((check) => check()));
    return problems.filter((problem) => problem !== undefined).join(' ') || undefined;
  }
}

/** Only what was written to be shown: the message of any other error may quote whatever the source said. */
function shownReason(error: unknown): string {
  return error instanceof SourceError || error instanceof SourceUnavailable ? ` ${error.message}` : '';
}

/**
 * Asks at most once at a time, and uses each answer for a while.
 * @param late the answer when it takes longer than this many ms.
 */
function keptAnswer(
  ask: () => Promise<string | undefined>,
  longestMs: number,
  late: string,
): () => Promise<string | undefined> {
  let askedAtMs = -Infinity;
  let underWay: Promise<string | undefined> | undefined;
  let kept: { readonly answer: string | undefined; readonly atMs: number } | undefined;
  return async () => {
    const now = performance.now();
    if (kept !== undefined && now - kept.atMs < KEPT_MS) return kept.answer;
    if (underWay === undefined) {
      askedAtMs = now;
      underWay = ask().then((answer) => {
        kept = { answer, atMs: performance.now() };
        underWay = undefined;
        return answer;
      });
    }
    // Whoever asks after that is told at once.
    return await inTime(underWay, askedAtMs + longestMs - now, late);
  };
}

async function inTime<T>(answer: Promise<T>, ms: number, late: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(late), Math.max(0, ms));
  });
  try {
    return await Promise.race([answer, waited]);
  } finally {
    clearTimeout(timer);
  }
}
