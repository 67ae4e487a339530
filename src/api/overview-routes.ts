import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { DeadLetterSummary, JobClient, JobOverview } from '../client/job-client.ts';
import type { Caller } from './callers.ts';
import { serve, textParameter } from './operation.ts';

/** Most dead letters that are counted: each one has to be listed. */
const MOST_LETTERS = 20_000;

export interface OverviewRoutesOptions {
  readonly jobs: JobClient;
  readonly overview: SharedOverview;
}

/** Everything at a glance: jobs with their numbers, and dead letters by failure. */
export function overviewRoutes(app: FastifyInstance, { jobs, overview }: OverviewRoutesOptions): void {
  serve(app, {
    method: 'GET',
    url: '/v1/overview',
    right: 'read',
    tag: 'Jobs',
    summary: 'All jobs with their numbers, and what each did in the last hour, by minute',
    answers: {
      200: z.object({
        at: z
          .string()
          .describe('RFC 3339: when they were asked. All who ask within a few seconds get the same answer.'),
        jobs: z.array(
          z.looseObject({
            jobId: z.string(),
            numbers: z
              .looseObject({})
              .optional()
              .describe('Absent for a job that has ended, did not answer in time, or was not asked.'),
            isNotAsked: z
              .boolean()
              .optional()
              .describe('Whether it runs, and there was no time to ask it among so many. Absent: no.'),
            lastHour: z
              .object({
                from: z.string().describe('RFC 3339: when the first of these minutes began.'),
                delivered: z.array(z.number()),
                failed: z.array(z.number()),
                waiting: z.array(z.number()),
              })
              .optional(),
          }),
        ),
      }),
    },
    run: async ({ caller }) => {
      const { atMs, jobs } = await overview.get();
      return { at: new Date(atMs).toISOString(), jobs: jobs.filter(({ jobId }) => caller.mayJob(jobId)) };
    },
  });
  serve(app, {
    method: 'GET',
    url: '/v1/dead-letters/failures',
    right: 'read',
    tag: 'Dead letters',
    summary: 'How many wait for a decision, by what they failed with',
    query: z.object({ jobId: textParameter }),
    answers: {
      200: z.object({
        letters: z.number().int(),
        isPartial: z
          .boolean()
          .describe(`Whether there are more than ${MOST_LETTERS}, and only the newest are counted.`),
        failures: z.array(
          z.object({
            failure: z.string().describe('As the filters take it.'),
            letters: z.number().int(),
            jobs: z.array(z.object({ jobId: z.string(), letters: z.number().int() })),
            oldestDiedAt: z.string(),
            newestDiedAt: z.string(),
          }),
        ),
      }),
    },
    run: async ({ caller, query: { jobId } }) => await countedFailures(jobs.deadLetters.list({ jobId }), caller),
  });
}

interface FailureCount {
  letters: number;
  readonly jobs: Map<string, number>;
  oldestDiedAt: string;
  newestDiedAt: string;
}

/** @param list newest first. */
async function countedFailures(list: AsyncIterable<DeadLetterSummary>, caller: Caller) {
  const found = new Map<string, FailureCount>();
  let letters = 0;
  let isPartial = false;
  for await (const { jobId, failure, diedAt } of list) {
    if (!caller.mayJob(jobId)) continue;
    isPartial = letters === MOST_LETTERS;
    if (isPartial) break;
    letters += 1;
    const count = found.get(failure) ?? { letters: 0, jobs: new Map(), oldestDiedAt: diedAt, newestDiedAt: diedAt };
    count.letters += 1;
    count.jobs.set(jobId, (count.jobs.get(jobId) ?? 0) + 1);
    if (diedAt < count.oldestDiedAt) count.oldestDiedAt = diedAt;
    if (diedAt > count.newestDiedAt) count.newestDiedAt = diedAt;
    found.set(failure, count);
  }
  const failures = Array.from(found, ([failure, { jobs, ...count }]) => ({
    failure,
    ...count,
    jobs: byCount(Array.from(jobs, ([jobId, letters]) => ({ jobId, letters }))),
  }));
  return { letters, isPartial, failures: byCount(failures) };
}

function byCount<T extends { readonly letters: number }>(counts: T[]): T[] {
  return counts.sort((a, b) => b.letters - a.letters);
}

/** An answer is reused for this long, in ms, and for this many times as long as it took to get. */
const FRESH_MS = 2_000;
const REST_FACTOR = 4;

interface OverviewAnswer {
  /** Epoch ms: when it began. */
  readonly atMs: number;
  readonly jobs: readonly JobOverview[];
}

/** The state of all jobs, read once for all callers who ask at about the same time. Each answer takes a query or two to each job. */
export class SharedOverview {
  readonly #ask: () => Promise<JobOverview[]>;
  readonly #now: () => number;
  #last: { readonly answer: OverviewAnswer; readonly freshUntilMs: number } | undefined;
  #changes = 0;
  #asking: Promise<OverviewAnswer> | undefined;

  constructor(ask: () => Promise<JobOverview[]>, now: () => number = Date.now) {
    this.#ask = ask;
    this.#now = now;
  }

  async get(): Promise<OverviewAnswer> {
    if (this.#last !== undefined && this.#now() < this.#last.freshUntilMs) return this.#last.answer;
    this.#asking ??= this.#askAnew();
    return await this.#asking;
  }

  /** Makes the next caller get a new answer: something was changed. */
  forget(): void {
    this.#changes += 1;
    this.#last = undefined;
    this.#asking = undefined;
  }

  async #askAnew(): Promise<OverviewAnswer> {
    const atMs = this.#now();
    const changes = this.#changes;
    try {
      const answer = { atMs, jobs: await this.#ask() };
      const tookMs = this.#now() - atMs;
      // An answer from before a change is not given to callers who ask after it.
      if (changes === this.#changes)
        this.#last = { answer, freshUntilMs: this.#now() + Math.max(FRESH_MS, REST_FACTOR * tookMs) };
      return answer;
    } finally {
      if (changes === this.#changes) this.#asking = undefined;
    }
  }
}
