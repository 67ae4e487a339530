import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiFailure, ask } from './api.ts';

/** What was asked for, as it was last answered. */
export interface Fetched<T> {
  /** Absent: not answered yet. It stays while a later question fails, unless it is gone, or not for whoever asks. */
  readonly value?: T;
  /** Epoch ms: when that was answered. */
  readonly answeredAtMs?: number;
  /** Why the last question failed. */
  readonly failure?: ApiFailure;
  /** Asks again now. */
  readonly again: () => void;
}

/** While there is no answer, it is asked again at least this often, in ms. */
const RETRY_MS = 10_000;
/** An answer to what a page asks again and again takes at most so long, in ms: the API itself waits 10 s for a worker, and then says which part is silent. */
const LATEST_MS = 15_000;
/** A second press within this many ms is a double click, and is meant for the button that was there before. */
const DOUBLE_PRESS_MS = 500;

/**
 * What the API answers to a GET; undefined asks nothing. With `everyMs` it is asked again and again while the page is seen, each time so long after the
 * last answer.
 */
export function useFetched<T>(path: string | undefined, everyMs?: number): Fetched<T> {
  const [answer, setAnswer] = useState<{ path: string; value?: T; answeredAtMs?: number; failure?: ApiFailure }>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    const ending = new AbortController();
    const { signal } = ending;
    const run = async (): Promise<void> => {
      for (let failures = 0, times = 0; !signal.aborted; times++) {
        try {
          const value = await ask<T>(path, {
            signal: everyMs === undefined ? signal : inTime(signal),
            isRepeated: times > 0,
          });
          failures = 0;
          setAnswer({ path, value, answeredAtMs: Date.now() });
        } catch (error) {
          if (signal.aborted) return;
          failures++;
          const failure = asFailure(error);
          // What is not there any more, or not for whoever looks, is not shown to them either.
          const isGone = failure.status === 403 || failure.status === 404;
          setAnswer((last) => ({ ...(last?.path === path && !isGone ? last : {}), path, failure }));
          // What is wrong with the question stays wrong, unless it is only the moment.
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

function inTime(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(LATEST_MS)]);
}

export function asFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  return new ApiFailure(0, { code: 'Unexpected', detail: error instanceof Error ? error.message : String(error) });
}

/** Whatever was asked may have been done although nobody heard so. */
function ofDeed(failure: ApiFailure): ApiFailure {
  if (failure.code !== 'NoAnswer') return failure;
  const detail = 'No answer. It may or may not have been done: check before you try again.';
  return new ApiFailure(0, { ...failure.said, detail });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Resolves once somebody can see the page. */
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
 * A deed that a button starts: whether it is under way, and how it failed. A button that cannot be pressed meanwhile loses the focus; it gets it back,
 * unless it has gone, or somebody went on meanwhile.
 */
export function useDeed(): {
  readonly isBusy: boolean;
  readonly failure: ApiFailure | undefined;
  /** Does it; returns whether that went well. */
  readonly run: (deed: () => Promise<unknown>) => Promise<boolean>;
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
  const run = useCallback(async (deed: () => Promise<unknown>) => {
    begunAt.current = document.activeElement;
    setBusy(true);
    setFailure(undefined);
    try {
      await deed();
      return true;
    } catch (error) {
      setFailure(ofDeed(asFailure(error)));
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

/** Whether a button has stood there for as long as a double click takes, in this step of what is done: until then a press is not meant for it. */
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

/** The time, anew every second or so: for what is said as seen from now. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
