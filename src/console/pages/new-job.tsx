import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { AudienceList } from '../../contract/audience.ts';
import type { JobDefinitionInput, Problem } from '../../contract/export-job.ts';
import { indentedJson } from '../../domain/indented-json.ts';
import { isRecord } from '../../domain/json.ts';
import { counted, printable } from '../../domain/shown.ts';
import { ApiFailure, ask, pathOf } from '../api.ts';
import { useAsked, useDeed, useSettled } from '../asked.ts';
import { definitionOf, type Draft, EMPTY_DRAFT, fieldOf } from '../form.ts';
import { Command, Dialog } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { usePageTitle } from '../title.ts';
import { JobForm, MayNot, membersOf, NotYet } from './job-form.tsx';
import { Preview } from './preview.tsx';

/** The form, with the message that it makes beside it. */
export function NewJobPage(): JSX.Element {
  usePageTitle('New job');
  const { mayOperate } = useSession();
  const { draft, change, told, touch, checkAll, definition, problems, others } = useForm(EMPTY_DRAFT, aboutStart);
  const [isStarting, setStarting] = useState(false);
  if (!mayOperate) return <MayNot what="start" />;
  return (
    <>
      <p class="quiet small">
        <a href="/">Jobs</a> / new
      </p>
      <div class="page-head">
        <h1>New export job</h1>
      </div>
      <div class="form-page">
        <form
          class="panel"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void checkAll().then((isRight) => setStarting(isRight));
          }}
        >
          <JobForm {...{ draft, change, problems, told, touch }} isNew />
          {told === 'all' && problems.length > 0 && <NotYet what="started" {...{ problems, others }} />}
          <button type="submit" class="primary">
            Start Export
          </button>
          <details class="job-file">
            <summary class="hint">The same as a job file</summary>
            <pre tabIndex={0}>{indentedJson(JSON.stringify(definition)).join('\n')}</pre>
            <Command>{`triggers start job.json${draft.id.trim() === '' ? '' : ` --id ${draft.id.trim()}`}`}</Command>
          </details>
        </form>
        <Preview definition={definition} isReady={draft.audiences.length > 0 && draft.webhookUrl.trim() !== ''} />
      </div>
      {isStarting && <StartDialog definition={definition} id={draft.id.trim()} onClose={() => setStarting(false)} />}
    </>
  );
}

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
  const checkAll = async (): Promise<boolean> => {
    setTold('all');
    const isRight = (await checked.check()).length === 0 && typed.length === 0;
    if (!isRight) setTimeout(showFirstProblem);
    return isRight;
  };
  return { draft, change, told, touch, checkAll, definition, problems, others };
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
      if (!ending.signal.aborted) setChecked({ question: asked, problems });
    });
    return () => ending.abort();
  }, [settled]);
  const check = useCallback(async () => {
    const asked = JSON.parse(now) as Question; // The same.
    const problems = await problemsOf(asked);
    setChecked({ question: asked, problems });
    return problems;
  }, [now]);
  return { ...checked, check };
}

/** Whether two bodies of questions have the same under a name. */
function saysTheSame(one: unknown, other: unknown, field: string): boolean {
  const valueIn = (body: unknown): unknown => (isRecord(body) ? body[field] : undefined);
  return JSON.stringify(valueIn(one)) === JSON.stringify(valueIn(other));
}

interface Question {
  readonly path: string;
  readonly method: 'POST' | 'PATCH';
  readonly body: unknown;
}

/** Whether a job could be started like that. */
function aboutStart(definition: JobDefinitionInput, { id }: Draft): Question {
  return { path: pathOf(['jobs'], { validateOnly: true, id: id.trim() }), method: 'POST', body: definition };
}

/** None if that cannot be known now: whoever starts it is told then. That it runs already is no problem of the form. */
async function problemsOf({ path, method, body }: Question, signal?: AbortSignal): Promise<readonly Problem[]> {
  return await ask(path, { method, body, ...(signal === undefined ? {} : { signal }) }).then(
    () => [],
    (error: unknown) => (error instanceof ApiFailure ? error.problems : []),
  );
}

interface StartProps {
  readonly definition: JobDefinitionInput;
  readonly id: string;
  readonly onClose: () => void;
}

/** Says how many people will be sent what, and starts it. */
function StartDialog({ definition, id, onClose }: StartProps): JSX.Element {
  const { route } = useLocation();
  const { isBusy, failure, run } = useDeed();
  const { value: list } = useAsked<AudienceList>(pathOf(['audiences']));
  const { audiences, existingUsers = false, parallelRequestCount = 5, label } = definition;
  const members = membersOf(list, audiences);
  const isGivenUp = failure?.code === 'JobRecoverable';
  const start = async (): Promise<void> => {
    let jobId = '';
    const path = pathOf(['jobs'], { id, discardRecoverable: isGivenUp });
    const isDone = await run(async () => {
      ({ jobId } = await ask<{ jobId: string }>(path, { method: 'POST', body: definition }));
    });
    if (isDone) route(`/jobs/${encodeURIComponent(jobId)}`);
  };
  const names = audiences.map((one) => list?.audiences.find(({ id, slug }) => slug === one || id === one)?.name ?? one);
  return (
    <Dialog
      title={`Start “${printable(label)}”`}
      deed={
        isGivenUp
          ? 'Start, and give that up'
          : existingUsers
            ? `Send ${members === undefined ? 'everybody' : counted(members, 'user')}, and start`
            : 'Start Export'
      }
      {...{ onClose, isBusy, failure }}
      isDisabled={failure?.code === 'JobKept'}
      isDangerous={isGivenUp}
      onDeed={() => void start()}
    >
      {existingUsers ? (
        <p>
          <b>{members === undefined ? 'Everybody' : counted(members, 'user')}</b> who {members === 1 ? 'is' : 'are'} in{' '}
          {printable(names.join(', '))} now {members === 1 ? 'is' : 'are'} sent as an <code>enter</code>, at most{' '}
          {counted(parallelRequestCount, 'request')} at a time.
        </p>
      ) : (
        <p>Nobody is sent now.</p>
      )}
      <p>
        From now on {definition.events?.length === 1 ? `each ${definition.events[0]}` : 'each enter and exit'} of{' '}
        {printable(names.join(', '))} is sent as it happens.
      </p>
    </Dialog>
  );
}
