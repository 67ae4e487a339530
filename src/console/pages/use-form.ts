import { useCallback, useEffect, useState } from 'preact/hooks';
import type { JobDefinitionInput, Problem } from '../../contract/export-job.ts';
import { FIELDS_WITH_URL, FORM_FIELDS } from '../../domain/form.ts';
import { isRecord } from '../../domain/json.ts';
import { ApiFailure, ask, asFailure, useSettled } from '../api.ts';
import { definitionOf, type Draft, fieldOf } from '../form.ts';
import { useSession } from '../session.tsx';

/** The values that the browser may keep: all but URLs, since a URL's path is often a secret. */
function keptOf(draft: Draft): Partial<Draft> {
  return Object.fromEntries(Object.entries(draft).filter(([input]) => !FIELDS_WITH_URL.some((one) => one === input)));
}

/**
 * The typed values. The browser keeps them for this tab and this key until they are used, and restores them after a reload. If the form begins with
 * other values, they are dropped. Leaving by a link, or closing the tab, must be confirmed.
 */
function useDraft(before: Draft) {
  const { name = '' } = useSession();
  const [{ initial, key, basis }] = useState({
    initial: before,
    key: `draft of ${name}: ${location.pathname}`,
    basis: JSON.stringify(keptOf(before)),
  });
  const [restored, setRestored] = useState(() => restoredFrom(sessionStorage.getItem(key), basis));
  const [draft, setDraft] = useState<Draft>({ ...initial, ...restored });
  const text = JSON.stringify(draft);
  const isChanged = text !== JSON.stringify(initial);
  useEffect(() => {
    if (isChanged) sessionStorage.setItem(key, JSON.stringify({ basis, kept: keptOf(draft) }));
    else sessionStorage.removeItem(key);
  }, [text]);
  useEffect(() => (isChanged ? whenLeft() : undefined), [isChanged]);
  const forget = useCallback(() => {
    setDraft(initial);
    setRestored(undefined);
    // This form may be gone before the next rendering.
    sessionStorage.removeItem(key);
  }, []);
  return { draft, setDraft, isRestored: restored !== undefined, forget };
}

function restoredFrom(stored: string | null, basis: string): Partial<Draft> | undefined {
  const saved = JSON.parse(stored ?? 'null') as { readonly basis: string; readonly kept: Partial<Draft> } | null; // It was written above.
  return saved?.basis === basis ? saved.kept : undefined;
}

/** Asks before typed values are left behind; returns a function that ends that. */
function whenLeft(): () => void {
  const ending = new AbortController();
  const { signal } = ending;
  addEventListener('beforeunload', (event) => event.preventDefault(), { signal });
  const clicked = (event: MouseEvent): void => {
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>('a[href]') : null;
    const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || link?.target === '_blank';
    // The form's own links, and links to another place of this page, need no question.
    if (link === null || isElsewhere || link.closest('form') !== null || link.hash !== '') return;
    if (confirm('Leave this form? It has changes that are not saved.')) return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener('click', clicked, { signal, capture: true });
  return () => ending.abort();
}

/** Longer than a click, in ms. */
const TELL_MS = 250;

export interface Form {
  readonly draft: Draft;
  readonly change: (more: Partial<Draft>) => void;
  /** Whether the values were typed before a reload. */
  readonly isRestored: boolean;
  /** Resets the form; also called once it was used. */
  readonly forget: () => void;
  readonly shownFields: 'all' | ReadonlySet<string>;
  readonly touch: (field: string) => void;
  /** Shows the problems of all fields from now on; returns whether there are none. */
  readonly checkAll: () => Promise<boolean>;
  readonly definition: JobDefinitionInput;
  readonly problems: readonly Problem[];
  /** The problems of no field. */
  readonly others: readonly Problem[];
  /** Why `checkAll` could not find out whether there are problems. */
  readonly unchecked: ApiFailure | undefined;
}

/** The typed values and their problems, by the form's own rules and by a worker's, which knows audiences and authorizations. */
export function useForm(
  initial: Draft,
  about: (definition: JobDefinitionInput, draft: Draft) => FormRequest,
  read: typeof definitionOf = definitionOf,
): Form {
  const { draft, setDraft, isRestored, forget } = useDraft(initial);
  const [shownFields, setShownFields] = useState<'all' | ReadonlySet<string>>(new Set<string>());
  const change = useCallback((more: Partial<Draft>) => setDraft((last) => ({ ...last, ...more })), []);
  const touch = useCallback((field: string) => {
    const show = (): void =>
      setShownFields((last) => (last === 'all' || last.has(field) ? last : new Set([...last, field])));
    // The delay keeps a click's target from moving away below the pointer.
    setTimeout(show, TELL_MS);
  }, []);
  const { definition, problems: typed } = read(draft);
  const question = about(definition, draft);
  const checked = useChecked(question);
  // A value that was changed since its check may be right by now.
  const isStill = (problem: Problem): boolean =>
    saysTheSame(checked.question.body, question.body, fieldOf(problem)) &&
    !typed.some((one) => fieldOf(one) === fieldOf(problem));
  const problems = [...typed, ...checked.problems.filter(isStill)];
  const others = problems.filter((one) => !KNOWN_FIELDS.has(fieldOf(one)));
  const [unchecked, setUnchecked] = useState<ApiFailure>();
  const checkAll = async (): Promise<boolean> => {
    setShownFields('all');
    const found = await checked.check();
    setUnchecked(found instanceof ApiFailure ? found : undefined);
    const isRight = !(found instanceof ApiFailure) && found.length === 0 && typed.length === 0;
    if (!isRight) setTimeout(showFirstProblem);
    return isRight;
  };
  return { draft, change, isRestored, forget, shownFields, touch, checkAll, definition, problems, others, unchecked };
}

const KNOWN_FIELDS = new Set<string>(['id', ...FORM_FIELDS]);

/** Opens and focuses the first wrong field. */
function showFirstProblem(): void {
  const wrong = [...document.querySelectorAll('.field .problem')].map((one) => one.closest('.field'));
  // It opens collapsed parts, too.
  for (const field of wrong)
    for (const fold of [field?.closest('details'), field?.querySelector('details')]) fold?.setAttribute('open', '');
  const [first] = wrong;
  first?.querySelector<HTMLElement>('input, textarea, select')?.focus();
  first?.scrollIntoView({ block: 'nearest' });
}

/** The problems that the API finds in it once it has settled, and a function that checks at once. */
function useChecked(question: FormRequest) {
  const now = JSON.stringify(question);
  const settled = useSettled(now);
  const [checked, setChecked] = useState<{ readonly question: FormRequest; readonly problems: readonly Problem[] }>({
    question,
    problems: [],
  });
  useEffect(() => {
    const ending = new AbortController();
    const request = JSON.parse(settled) as FormRequest; // It was written above.
    void problemsOf(request, ending.signal).then((problems) => {
      if (!ending.signal.aborted && !(problems instanceof ApiFailure)) setChecked({ question: request, problems });
    });
    return () => ending.abort();
  }, [settled]);
  const check = useCallback(async () => {
    const request = JSON.parse(now) as FormRequest; // It was written above, too.
    const problems = await problemsOf(request);
    if (!(problems instanceof ApiFailure)) setChecked({ question: request, problems });
    return problems;
  }, [now]);
  return { ...checked, check };
}

/** Whether two request bodies have the same value under a name. */
function saysTheSame(one: unknown, other: unknown, field: string): boolean {
  const valueIn = (body: unknown): unknown => (isRecord(body) ? body[field] : undefined);
  return JSON.stringify(valueIn(one)) === JSON.stringify(valueIn(other));
}

export interface FormRequest {
  readonly path: string;
  readonly method: 'POST' | 'PATCH';
  readonly body: unknown;
}

/** The problems that the API finds, or why it could not check. */
async function problemsOf(
  { path, method, body }: FormRequest,
  signal?: AbortSignal,
): Promise<readonly Problem[] | ApiFailure> {
  try {
    await ask(path, { method, body, ...(signal === undefined ? {} : { signal }) });
    return [];
  } catch (error) {
    const failure = asFailure(error);
    const { status, code, problems, message } = failure;
    if (code === 'JobAlreadyRunning') return [{ field: 'id', message }];
    return problems.length > 0 || status === 404 || status === 409 ? problems : failure;
  }
}
