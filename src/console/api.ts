import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../contract/export-job.ts';
import { parseJson } from '../domain/json.ts';
import type { Remedy } from '../contract/remedy.ts';

/** `application/problem+json`; some problems have further fields. */
interface ProblemBody {
  readonly code: string;
  readonly detail: string;
  readonly problems?: readonly Problem[];
  readonly remedies?: readonly Remedy[];
  readonly [more: string]: unknown;
}

/** The API's answer when it did not do what it was asked. */
export class ApiFailure extends Error {
  /** HTTP's status; 0: there was no answer. */
  readonly status: number;
  readonly code: string;
  /** The problems, by field. */
  readonly problems: readonly Problem[];
  /** The remedies that a person has. */
  readonly remedies: readonly Remedy[];
  /** The whole answer. */
  readonly body: ProblemBody;

  constructor(status: number, body: ProblemBody) {
    super(body.detail);
    this.status = status;
    this.code = body.code;
    this.problems = body.problems ?? [];
    this.remedies = body.remedies ?? [];
    this.body = body;
  }
}

export interface Asking {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is. */
  readonly file?: { readonly type: string; readonly content: Blob };
  readonly signal?: AbortSignal;
  /** The type of the answer, which is then text as it is. Default: JSON. */
  readonly accept?: string;
  /** Whether the page asks by itself, again and again. Such requests do not count as use of a session, which would otherwise never end. */
  readonly isRepeated?: boolean;
}

/** Sent with a person's actions: no page of another site can send it, so none can act with our cookie. */
const OURS = { 'x-triggers-console': '1' };

/** Called when a request was refused because nobody is signed in, or because the person lacks the right. */
let onRefused: (why: 'nobody' | 'not-allowed') => void = () => undefined;
export function whenRefused(call: typeof onRefused): void {
  onRefused = call;
}

/**
 * Asks the API. The answer is not checked, since page and API are of one release. Its numbers keep all digits, for example in profiles.
 *
 * @throws ApiFailure
 */
export async function ask<T>(
  path: string,
  { method = 'GET', body, file, signal, accept, isRepeated = false }: Asking = {},
): Promise<T> {
  const init: RequestInit = {
    method,
    headers: {
      ...(isRepeated ? {} : OURS),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(accept === undefined ? {} : { accept }),
      ...(file === undefined ? {} : { 'content-type': file.type }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(file === undefined ? {} : { body: file.content }),
    ...(signal === undefined ? {} : { signal }),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, init);
    text = await response.text();
  } catch (error) {
    // A caller who aborted gets only the abort; after a timeout, the failure is that the API does not answer.
    const isTimeUp = error instanceof DOMException && error.name === 'TimeoutError';
    if (signal?.aborted === true && !isTimeUp) throw error;
    throw new ApiFailure(0, { code: 'NoAnswer', detail: 'The API does not answer.' });
  }
  if (response.ok) return (accept !== undefined ? text : text === '' ? undefined : parseJson(text)) as T;
  const failure = new ApiFailure(response.status, problemOf(response, text));
  if (response.status === 401 && path !== '/v1/session') onRefused('nobody');
  if (response.status === 403) onRefused('not-allowed');
  throw failure;
}

function problemOf(response: Response, text: string): ProblemBody {
  const unreadable = { code: 'Unexpected', detail: `The API answered ${response.status} ${response.statusText}.` };
  try {
    const body = JSON.parse(text) as Partial<ProblemBody> | null;
    return typeof body?.detail === 'string' ? { ...unreadable, ...body } : unreadable;
  } catch {
    return unreadable;
  }
}

/** A path of the API: each part is encoded, and undefined or empty parameters of the query are left out. */
export function pathOf(
  parts: readonly string[],
  query: Readonly<Record<string, string | number | boolean | undefined>> = {},
): string {
  const path = parts.map((part) => encodeURIComponent(part.toWellFormed())).join('/');
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === '' || value === false
      ? []
      : [`${name}=${encodeURIComponent(value === true ? '1' : String(value))}`],
  );
  return `/v1/${path}${parameters.length === 0 ? '' : `?${parameters.join('&')}`}`;
}

/** The latest answer to a request. */
export interface Fetched<T> {
  /** Absent: not answered yet. It stays while a later request fails, unless it is gone, or the person has no access. */
  readonly value?: T;
  /** Epoch ms: when that answer came. */
  readonly answeredAtMs?: number;
  /** Why the last request failed. */
  readonly failure?: ApiFailure;
  /** Asks again now. */
  readonly again: () => void;
}

/** Without an answer, the page asks again at least this often, in ms. */
const RETRY_MS = 10_000;
/**
 * The longest wait, in ms, for an answer that a page requests again and again. The API itself waits 10 s for a worker, and then says which part is
 * silent.
 */
const LATEST_MS = 15_000;
/** A page is told of a stream's events at most this often, in ms. */
const TELL_MS = 500;
/** A stream of new things looks twice, a second apart, before it tells of any. */
const BEGIN_MS = 1_500;
/** A second press within this many ms is a double click, and is meant for the previous button. */
const DOUBLE_PRESS_MS = 500;

/**
 * The API's answer to a GET; undefined requests nothing. With `everyMs` the page asks again and again while it is visible, each time this long after
 * the last answer.
 *
 * @param moving the end of the path, which is another one at each request: a time.
 */
export function useFetched<T>(path: string | undefined, everyMs?: number, moving = (): string => ''): Fetched<T> {
  const [answer, setAnswer] = useState<{ path: string; value?: T; answeredAtMs?: number; failure?: ApiFailure }>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    const ending = new AbortController();
    const { signal } = ending;
    const run = async (): Promise<void> => {
      for (let failures = 0, times = 0; !signal.aborted; times++) {
        try {
          const value = await ask<T>(path + moving(), {
            signal: everyMs === undefined ? signal : inTime(signal),
            isRepeated: times > 0,
          });
          failures = 0;
          setAnswer({ path, value, answeredAtMs: Date.now() });
        } catch (error) {
          if (signal.aborted) return;
          failures++;
          const failure = asFailure(error);
          // A thing that is gone, or that the person has no access to, is no longer shown to them.
          const isGone = failure.status === 403 || failure.status === 404;
          setAnswer((last) => ({ ...(last?.path === path && !isGone ? last : {}), path, failure }));
          // A wrong request stays wrong, unless it only came at a bad moment.
          if (failure.status >= 400 && failure.status < 500 && failure.status !== 429 && everyMs === undefined) return;
        }
        if (everyMs === undefined && failures === 0) return;
        await pause(Math.min((everyMs ?? 1000) * 2 ** failures, Math.max(everyMs ?? 0, RETRY_MS)), signal);
        await seen(signal);
      }
    };
    void run();
    return () => ending.abort();
  }, [path, everyMs, round]);
  const again = useCallback(() => setRound((last) => last + 1), []);
  const { path: _, ...current } = answer?.path === path && answer !== undefined ? answer : { path };
  return { ...current, again };
}

/**
 * Tells of a stream's events of one name while the page is visible; undefined: there is no stream. One that breaks begins again.
 *
 * @param onSome takes the events since it was last called, oldest first.
 * @param onBegin is called when they begin to come, or cannot: the page asks for what is there by then.
 */
export function useStream<T>(
  path: string | undefined,
  event: string,
  { onSome, onBegin }: { readonly onSome: (some: readonly T[]) => void; readonly onBegin: () => void },
): void {
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    const ending = new AbortController();
    const { signal } = ending;
    const later = async (ms: number, act: () => void): Promise<void> => {
      await pause(ms, signal);
      if (!signal.aborted) act();
    };
    const next = (): void => setRound((last) => last + 1);
    const open = (): void => {
      const source = new EventSource(path);
      const some: T[] = [];
      const timer = setInterval(() => some.length > 0 && onSome(some.splice(0)), TELL_MS);
      source.addEventListener(event, ({ data }: MessageEvent<string>) => some.push(parseJson(data) as T));
      source.addEventListener('open', () => void later(BEGIN_MS, onBegin));
      source.addEventListener('error', () => {
        if (source.readyState !== EventSource.CLOSED) return; // The browser connects again.
        onBegin();
        void later(RETRY_MS, next);
      });
      document.addEventListener('visibilitychange', next, { signal });
      signal.addEventListener('abort', () => (clearInterval(timer), source.close()));
    };
    void seen(signal).then(() => later(0, open));
    return () => ending.abort();
  }, [path, event, round]);
}

function inTime(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(LATEST_MS)]);
}

export function asFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  return new ApiFailure(0, { code: 'Unexpected', detail: error instanceof Error ? error.message : String(error) });
}

/** The action may have been done although no answer came. */
function ofAction(failure: ApiFailure): ApiFailure {
  if (failure.code !== 'NoAnswer') return failure;
  const detail = 'No answer. It may or may not have been done: check before you try again.';
  return new ApiFailure(0, { ...failure.body, detail });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Resolves once the page is visible. */
async function seen(signal: AbortSignal): Promise<void> {
  while (document.visibilityState === 'hidden' && !signal.aborted) {
    const waiting = new AbortController();
    await new Promise<void>((resolve) => {
      const options = { once: true, signal: waiting.signal };
      document.addEventListener('visibilitychange', () => resolve(), options);
      signal.addEventListener('abort', () => resolve(), options);
    });
    waiting.abort();
  }
}

/**
 * An action that a button starts: whether it is under way, and how it failed. A button that is disabled meanwhile loses the focus. It gets the focus
 * back, unless it is gone, or the person moved on meanwhile.
 */
export function useAction(): {
  readonly isBusy: boolean;
  readonly failure: ApiFailure | undefined;
  /** Does it; returns whether that succeeded. */
  readonly run: (action: () => Promise<unknown>) => Promise<boolean>;
} {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiFailure>();
  const begunAt = useRef<Element | null>(null);
  useLayoutEffect(() => {
    const { current } = begunAt;
    if (isBusy || !(current instanceof HTMLElement)) return;
    if (current.isConnected && document.activeElement === document.body) current.focus();
    begunAt.current = null;
  }, [isBusy]);
  const run = useCallback(async (action: () => Promise<unknown>) => {
    begunAt.current = document.activeElement;
    setBusy(true);
    setFailure(undefined);
    try {
      await action();
      return true;
    } catch (error) {
      setFailure(ofAction(asFailure(error)));
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  return { isBusy, failure, run };
}

/** A value that follows another once that has not changed for a moment. */
export function useSettled<T>(value: T, ms = 400): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(() => value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Whether a button has been there for the length of a double click, in this step of an action. Until then a press is not meant for it. */
export function useSteady(step?: unknown): boolean {
  const [isSteady, setSteady] = useState(false);
  useLayoutEffect(() => {
    const timer = setTimeout(() => setSteady(true), DOUBLE_PRESS_MS);
    return () => {
      clearTimeout(timer);
      setSteady(false);
    };
  }, [step]);
  return isSteady;
}

/** The time, updated every second or so, for times relative to now. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
