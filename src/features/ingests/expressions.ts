import { Worker } from 'node:worker_threads';
import jsonata from 'jsonata';
import { isRecord } from '../../domain/json.ts';
import { isDeeperThan } from '../../domain/trigger.ts';
import { MOST_IN_REQUEST } from '../../client/push/key-search.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import {
  type Arrival,
  type Change,
  changeOf,
  eventOf,
  idOf,
  isObject,
  type PresetSettings,
  type Reading,
  type Unreadable,
} from './arrival.ts';

/** JSONata for each part of a change. Each expression can use `$body`, `$headers` and `$query`. */
export interface Expressions {
  /** The list of items, one for each change; the other expressions are evaluated at an item. Absent: the body is the item. */
  readonly each?: string | undefined;
  readonly user: string;
  readonly audience?: string | undefined;
  /** `enter`, `exit`, another word for either, or whether the person is in. */
  readonly event: string;
  readonly at?: string | undefined;
  readonly profile?: string | undefined;
  /** True: it tells of no change. */
  readonly ignore?: string | undefined;
  /** The same for a repeated request; evaluated at the body. */
  readonly id?: string | undefined;
}

/** A task for the thread. */
export interface ToEvaluate {
  readonly expressions: Expressions;
  readonly body: Json;
  readonly headers: Arrival['headers'];
  readonly query: Arrival['query'];
}

/** The thread's answer: JSON of what it found, or why it found nothing. */
export type Evaluation = { readonly json: string } | { readonly failure: string };

/**
 * Longest time for all expressions of one request, in ms. It counts only while this process has the processor, and not while its main thread
 * works: neither a busy machine nor other requests make data bad.
 */
const LONGEST_MS = 500;
/** This thread looks that often, at most `LONGEST_MS` apart, whether it took too long. A machine that stood still meanwhile does not make it more. */
const MOST_LOOKS = 20;
/** Most requests of one ingest that wait for the thread. */
const MOST_WAITING = 1_000;
/** Most levels of a body. */
const MOST_LEVELS = 300;
/** Memory limits of the thread, in MB. */
const MEMORY = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 };

/** Too many requests wait for expressions: this one would wait too long, or did. Nothing of it was read or will be. */
export class ExpressionsBusy extends Error {
  constructor(message = 'Too many requests wait for expressions to be evaluated.', options?: ErrorOptions) {
    super(message, options);
  }
}

/** Returns the mistake in an expression, if it shows without evaluating it: it is not JSONata, or calls an unknown function. */
export function expressionMistake(text: string): string | undefined {
  try {
    return unknownFunction(jsonata(text).ast());
  } catch (error) {
    const at = isRecord(error) && typeof error['position'] === 'number' ? Math.max(1, error['position']) : 1;
    return `This is not JSONata: something is wrong at character ${at}.`;
  }
}

/** JSONata's functions, but for `$eval`. */
const FUNCTIONS = (
  'sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim pad match contains replace split join ' +
  'formatNumber formatBase formatInteger parseInteger number floor ceil round abs sqrt power random boolean not map zip filter single reduce sift ' +
  'keys lookup append exists spread merge reverse each error assert type sort shuffle distinct base64encode base64decode encodeUrlComponent ' +
  'encodeUrl decodeUrlComponent decodeUrl toMillis fromMillis clone now millis'
).split(' ');

function unknownFunction(ast: unknown): string | undefined {
  const named = new Set<string>();
  const called: string[] = [];
  const nameIn = (node: unknown): string | undefined =>
    isRecord(node) && node['type'] === 'variable' && typeof node['value'] === 'string' ? node['value'] : undefined;
  const look = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(look);
    if (!isRecord(node)) return;
    const { type, lhs, focus, index } = node;
    const own = type === 'bind' ? [lhs] : type === 'lambda' ? node['arguments'] : [];
    // These bind a name: the left side of :=, the parameters of a function, and a step with @ or #.
    for (const one of [...(Array.isArray(own) ? own.map(nameIn) : []), focus, index])
      if (typeof one === 'string') named.add(one);
    const name = type === 'function' || type === 'partial' ? nameIn(node['procedure']) : undefined;
    if (name !== undefined) called.push(name);
    Object.values(node).forEach(look);
  };
  look(ast);
  const unknown = called.find((name) => !named.has(name) && !FUNCTIONS.includes(name));
  if (unknown === undefined) return undefined;
  const near = nearestKey(unknown, [...FUNCTIONS, ...named]);
  return `There is no function "$${unknown}".${near === undefined ? '' : ` Did you mean "$${near}"?`}`;
}

interface Waiting {
  readonly ingest: string;
  readonly request: ToEvaluate;
  readonly end: (evaluation: Promise<Evaluation>) => void;
}

/**
 * Evaluates expressions in a thread of its own, one request after the other. Ingests share its time, not its turns: a slow request makes its own ingest
 * wait for the next turn. A regular expression may search for minutes, or a list may fill the memory. Others wait no longer than that request's time;
 * then the thread is replaced. It begins with the first request.
 */
export class ExpressionThread {
  #worker: Promise<Worker> | undefined;
  /** By ingest. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** The thread's time that each ingest has had, in ms. The ingest with the least has the next turn. */
  readonly #usedMs = new Map<string, number>();
  /** The least at the last turn: an ingest that begins to wait starts there, and gets no time for when it had no requests. */
  #leastUsedMs = 0;
  #isBusy = false;
  readonly #start: () => Promise<Worker>;

  /** @param start starts a thread; only a test gives another one. */
  constructor(start = startedWorker) {
    this.#start = start;
  }

  /**
   * @param ingest that the request is for.
   * @param unwanted aborted when it need not begin any more.
   * @throws ExpressionsBusy
   */
  async evaluate(request: ToEvaluate, ingest = '', unwanted?: AbortSignal): Promise<Evaluation> {
    const own = this.#waiting.get(ingest) ?? [];
    if (own.length >= MOST_WAITING || unwanted?.aborted === true) throw new ExpressionsBusy();
    return await new Promise<Evaluation>((resolve, reject) => {
      const one: Waiting = { ingest, request, end: resolve };
      if (own.length === 0) this.#usedMs.set(ingest, Math.max(this.#usedOf(ingest), this.#leastUsedMs));
      own.push(one);
      this.#waiting.set(ingest, own);
      unwanted?.addEventListener('abort', () => {
        // Once it has its turn, its own limits end it: a catastrophic expression is a failure, however busy the machine is.
        if (!own.includes(one)) return;
        own.splice(own.indexOf(one), 1);
        reject(new ExpressionsBusy());
      });
      void this.#work();
    });
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const asking = this.#ask(next);
      next.end(asking);
      await asking.catch(() => undefined);
    }
    this.#isBusy = false;
  }

  /** The next one, of the ingest that has had the least time. */
  #next(): Waiting | undefined {
    let next: Waiting | undefined;
    for (const [first] of this.#waiting.values())
      if (first !== undefined && (next === undefined || this.#usedOf(first.ingest) < this.#usedOf(next.ingest)))
        next = first;
    if (next === undefined) return undefined;
    this.#waiting.get(next.ingest)?.shift();
    this.#leastUsedMs = this.#usedOf(next.ingest);
    return next;
  }

  #usedOf(ingest: string): number {
    return this.#usedMs.get(ingest) ?? 0;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await (await worker)?.terminate();
  }

  async #ask({ ingest, request }: Waiting): Promise<Evaluation> {
    if (isDeeperThan(request.body, MOST_LEVELS))
      return { failure: `the body is nested more than ${MOST_LEVELS} levels deep` };
    const worker = await this.#started();
    const beganMs = performance.now();
    const evaluation = await answerOf(worker, request);
    this.#usedMs.set(ingest, this.#usedOf(ingest) + performance.now() - beganMs);
    if (evaluation !== undefined) return evaluation;
    this.#worker = undefined;
    await worker.terminate();
    return { failure: 'the expressions take too long, or too much memory' };
  }

  /** @throws ExpressionsBusy when no thread can start now; the next request tries it again */
  async #started(): Promise<Worker> {
    try {
      return await (this.#worker ??= this.#start());
    } catch (error) {
      this.#worker = undefined;
      throw new ExpressionsBusy('The thread that evaluates expressions could not start.', { cause: error });
    }
  }
}

/** Undefined when none came in time. */
async function answerOf(worker: Worker, request: ToEvaluate): Promise<Evaluation | undefined> {
  return await new Promise((resolve) => {
    const end = (evaluation: Evaluation | undefined): void => {
      clearTimeout(timer);
      worker.off('message', end).off('error', fail).off('exit', fail);
      resolve(evaluation);
    };
    const fail = (): void => end(undefined);
    worker.on('message', end).on('error', fail).on('exit', fail);
    worker.postMessage({ ...request, body: spelt(request.body) }, []);
    const began = { cpu: process.cpuUsage(), loop: performance.eventLoopUtilization() };
    let looks = 0;
    const look = (): void => {
      const { user, system } = process.cpuUsage(began.cpu);
      // The work of this thread is other people's requests.
      const leftMs = LONGEST_MS - (user + system) / 1000 + performance.eventLoopUtilization(began.loop).active;
      // If this thread was busy for long, the answer may be here by now, and is read first.
      if (leftMs <= 0 || ++looks === MOST_LOOKS) setImmediate(fail);
      else timer = setTimeout(look, Math.ceil(Math.min(leftMs, LONGEST_MS)));
    };
    let timer = setTimeout(look, LONGEST_MS);
  });
}

/** An integer beyond 2^53 is text in an expression: JSONata would lose its digits. */
function spelt(value: Json): Json {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return (value as readonly Json[]).map(spelt);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, spelt(one)]));
}

export async function startedWorker(): Promise<Worker> {
  const worker = new Worker(new URL('./expression-thread.js', import.meta.url), {
    execArgv: [],
    resourceLimits: MEMORY,
    workerData: { mostChanges: MOST_IN_REQUEST },
    env: {},
  });
  // A thread that has ended may emit further errors; its missing answer says enough.
  worker.on('error', () => undefined);
  // It must not keep an idle program from ending.
  worker.unref();
  // Its first message says that it is ready.
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve()).once('error', reject);
    worker.once('exit', () => reject(new Error('The thread ended while it started.')));
  });
  return worker;
}

/** Returns the contents of a request that expressions have read. */
export function readingOf(evaluation: Evaluation, settings: PresetSettings): Reading {
  if ('failure' in evaluation) return { changes: [{ reason: evaluation.failure }], ignored: 0 };
  // Written by the thread.
  const { changes, failures, ignored, id } = JSON.parse(evaluation.json) as {
    changes: readonly JsonObject[];
    failures: readonly string[];
    ignored: number;
    id?: Json;
  };
  return {
    changes: changes.map((change) => changeIn(change, failures, settings)),
    ignored,
    messageId: idOf(id),
  };
}

function changeIn(change: JsonObject, failures: readonly string[], settings: PresetSettings): Change | Unreadable {
  const { failure, user, audience, event, at, profile } = change;
  if (typeof failure === 'number') return { reason: failures[failure] ?? 'an expression fails' };
  if (profile !== undefined && profile !== null && !isObject(profile))
    return { reason: 'the expression "profile" makes no JSON object' };
  return changeOf(
    {
      user: idOf(user),
      userIn: 'what the expression "user" makes',
      event: eventOf(event),
      audiences: [audience],
      at,
      profile,
    },
    settings,
  );
}
