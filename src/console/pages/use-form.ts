import { useCallback, useEffect, useState } from 'preact/hooks';
import type { JobDefinitionInput, Problem } from '../../contract/export-job.ts';
import { isRecord } from '../../domain/json.ts';
import { ApiFailure, ask } from '../api.ts';
import { asFailure, useSettled } from '../asked.ts';
import { definitionOf, type Draft, EMPTY_DRAFT, fieldOf } from '../form.ts';

/** A click is over by then. */
const TELL_MS = 250;

export interface Form {
  readonly draft: Draft;
  readonly change: (more: Partial<Draft>) => void;
  readonly told: 'all' | ReadonlySet<string>;
  readonly touch: (field: string) => void;
  /** Tells the problems of all fields from now on; returns whether there are none. */
  readonly checkAll: () => Promise<boolean>;
  readonly definition: JobDefinitionInput;
  readonly problems: readonly Problem[];
  /** Those that stand at no field of the form. */
  readonly others: readonly Problem[];
  /** Why `checkAll` could not find out whether there are problems. */
  readonly unchecked: ApiFailure | undefined;
}

/** What is typed, and what is wrong with it: by the form's own rules, and a worker's, which knows audiences and authorizations. */
export function useForm(
  initial: Draft,
  about: (definition: JobDefinitionInput, draft: Draft) => Question,
  read: typeof definitionOf = definitionOf,
): Form {
  const [draft, setDraft] = useState(initial);
  const [told, setTold] = useState<'all' | ReadonlySet<string>>(new Set<string>());
  const change = useCallback((more: Partial<Draft>) => setDraft((last) => ({ ...last, ...more })), []);
  const touch = useCallback((field: string) => {
    const tell = (): void => setTold((last) => (last === 'all' || last.has(field) ? last : new Set([...last, field])));
    // Not at once: what somebody is about to click must not move away from below the pointer.
    setTimeout(tell, TELL_MS);
  }, []);
  const { definition, problems: typed } = read(draft);
  const question = about(definition, draft);
  const checked = useChecked(question);
  // What has been changed since it was found wrong may be right by now.
  const isStill = (problem: Problem): boolean =>
    saysTheSame(checked.question.body, question.body, fieldOf(problem)) &&
    !typed.some((one) => fieldOf(one) === fieldOf(problem));
  const problems = [...typed, ...checked.problems.filter(isStill)];
  const others = problems.filter((one) => !KNOWN_FIELDS.has(fieldOf(one)));
  const [unchecked, setUnchecked] = useState<ApiFailure>();
  const checkAll = async (): Promise<boolean> => {
    setTold('all');
    const found = await checked.check();
    setUnchecked(found instanceof ApiFailure ? found : undefined);
    const isRight = !(found instanceof ApiFailure) && found.length === 0 && typed.length === 0;
    if (!isRight) setTimeout(showFirstProblem);
    return isRight;
  };
  return { draft, change, told, touch, checkAll, definition, problems, others, unchecked };
}

const KNOWN_FIELDS = new Set<string>([...Object.keys(EMPTY_DRAFT), 'batch']);

/** Whoever pressed a button below a long form sees what is wrong, and can go on typing there. */
function showFirstProblem(): void {
  const first = document.querySelector('.field .problem')?.closest('.field');
  first?.querySelector<HTMLElement>('input, textarea, select')?.focus();
  first?.scrollIntoView({ block: 'nearest' });
}

/** What the API finds wrong with it, once it has settled; and, for whoever cannot wait for that, at once. */
function useChecked(question: Question) {
  const now = JSON.stringify(question);
  const settled = useSettled(now);
  const [checked, setChecked] = useState<{ readonly question: Question; readonly problems: readonly Problem[] }>({
    question,
    problems: [],
  });
  useEffect(() => {
    const ending = new AbortController();
    const asked = JSON.parse(settled) as Question; // As it was written above.
    void problemsOf(asked, ending.signal).then((problems) => {
      if (!ending.signal.aborted && !(problems instanceof ApiFailure)) setChecked({ question: asked, problems });
    });
    return () => ending.abort();
  }, [settled]);
  const check = useCallback(async () => {
    const asked = JSON.parse(now) as Question; // The same.
    const problems = await problemsOf(asked);
    if (!(problems instanceof ApiFailure)) setChecked({ question: asked, problems });
    return problems;
  }, [now]);
  return { ...checked, check };
}

/** Whether two bodies of questions have the same under a name. */
function saysTheSame(one: unknown, other: unknown, field: string): boolean {
  const valueIn = (body: unknown): unknown => (isRecord(body) ? body[field] : undefined);
  return JSON.stringify(valueIn(one)) === JSON.stringify(valueIn(other));
}

export interface Question {
  readonly path: string;
  readonly method: 'POST' | 'PATCH';
  readonly body: unknown;
}

/** Or why that cannot be known now. What is refused without a problem, since a job of that id runs, say, is told whoever goes on. */
async function problemsOf(
  { path, method, body }: Question,
  signal?: AbortSignal,
): Promise<readonly Problem[] | ApiFailure> {
  try {
    await ask(path, { method, body, ...(signal === undefined ? {} : { signal }) });
    return [];
  } catch (error) {
    const failure = asFailure(error);
    const { status, problems } = failure;
    return problems.length > 0 || status === 404 || status === 409 ? problems : failure;
  }
}
