import type { Problem } from '../contract/export-job.ts';
import { parseJson } from '../domain/json.ts';
import type { Remedy } from '../domain/remedy.ts';

/** `application/problem+json`; some have more than this. */
interface SaidProblem {
  readonly code: string;
  readonly detail: string;
  readonly problems?: readonly Problem[];
  readonly remedies?: readonly Remedy[];
  readonly [more: string]: unknown;
}

/** What the API answers when it does not do what it was asked. */
export class ApiFailure extends Error {
  /** Of HTTP; 0: there was no answer. */
  readonly status: number;
  readonly code: string;
  /** What is wrong, by field. */
  readonly problems: readonly Problem[];
  /** What a person can do about it. */
  readonly remedies: readonly Remedy[];
  /** All that was answered. */
  readonly said: SaidProblem;

  constructor(status: number, said: SaidProblem) {
    super(said.detail);
    this.status = status;
    this.code = said.code;
    this.problems = said.problems ?? [];
    this.remedies = said.remedies ?? [];
    this.said = said;
  }
}

export interface Asking {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is. */
  readonly file?: { readonly type: string; readonly content: Blob };
  readonly signal?: AbortSignal;
  /** Whether the page asks by itself, again and again: that does not count as use of a session, which would never end otherwise. */
  readonly isRepeated?: boolean;
}

/** Said with what a person does: no page of another site can send it, so none can act with our cookie. */
const OURS = { 'x-triggers-console': '1' };

/** Called when a request was refused because nobody is signed in, or because whoever is may not do it. */
let onRefused: (why: 'nobody' | 'not-allowed') => void = () => undefined;
export function whenRefused(call: typeof onRefused): void {
  onRefused = call;
}

/**
 * Asks the API. What it answers is taken at its word: page and API are of one release. Its numbers keep all digits, in profiles, say.
 *
 * @throws ApiFailure
 */
export async function ask<T>(
  path: string,
  { method = 'GET', body, file, signal, isRepeated = false }: Asking = {},
): Promise<T> {
  const init: RequestInit = {
    method,
    headers: {
      ...(isRepeated ? {} : OURS),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
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
    // Whoever no longer asks is told nothing; whose time is up, that nobody answers.
    const isTimeUp = error instanceof DOMException && error.name === 'TimeoutError';
    if (signal?.aborted === true && !isTimeUp) throw error;
    throw new ApiFailure(0, { code: 'NoAnswer', detail: 'The API does not answer.' });
  }
  if (response.ok) return (text === '' ? undefined : parseJson(text)) as T;
  const failure = new ApiFailure(response.status, problemOf(response, text));
  if (response.status === 401 && path !== '/v1/session') onRefused('nobody');
  if (response.status === 403) onRefused('not-allowed');
  throw failure;
}

function problemOf(response: Response, text: string): SaidProblem {
  const unreadable = { code: 'Unexpected', detail: `The API answered ${response.status} ${response.statusText}.` };
  try {
    const said = JSON.parse(text) as Partial<SaidProblem> | null;
    return typeof said?.detail === 'string' ? { ...unreadable, ...said } : unreadable;
  } catch {
    return unreadable;
  }
}

/** A path of the API: each part is encoded, and of the query what is undefined or empty is left out. */
export function pathOf(
  parts: readonly string[],
  query: Readonly<Record<string, string | number | boolean | undefined>> = {},
): string {
  const path = parts.map((part) => encodeURIComponent(part.toWellFormed())).join('/');
  const said = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === '' || value === false
      ? []
      : [`${name}=${encodeURIComponent(value === true ? '1' : String(value))}`],
  );
  return `/v1/${path}${said.length === 0 ? '' : `?${said.join('&')}`}`;
}
