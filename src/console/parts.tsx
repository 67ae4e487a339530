import { type ComponentChildren, Fragment, type JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../contract/export-job.ts';
import { duration, printable } from '../domain/text.ts';
import { toneOf } from '../words/status-rows.ts';
import { type ApiFailure, type Fetched, useAction, useNow, useSettled, useSteady } from './api.ts';
import { ago, clockTime, remedyOnPage, utc } from './words.ts';

type Children = { readonly children?: ComponentChildren };

/** The longest text from elsewhere that is shown at once. */
const SHOWN_LENGTH = 400;

/** Text from outside. It cannot disguise the text after it, and a long one is cut until the person wants all of it. */
export function Clipped({ text, most = SHOWN_LENGTH }: { readonly text: string; readonly most?: number }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  const isLong = text.length > most;
  const shown = printable(isLong && !isWhole ? text.slice(0, most) : text.slice(0, 100_000));
  return (
    <>
      <bdi class="said">{shown}</bdi>
      {isLong && !isWhole && (
        <button type="button" class="plain" onClick={() => setWhole(true)}>
          … {(text.length - most).toLocaleString('en')} more characters
        </button>
      )}
    </>
  );
}

const MARKS: Readonly<Record<string, JSX.Element>> = {
  running: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  paused: <path d="M2.5 1.5h2.5v9h-2.5zM7 1.5h2.5v9h-2.5z" fill="currentColor" />,
  starting: (
    <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.8" stroke-dasharray="2.6 2" />
  ),
  stopping: <path d="M6 1.5a4.5 4.5 0 0 0 0 9z M6 1.5a4.5 4.5 0 0 1 0 9" fill="currentColor" />,
  stopped: <rect x="2.2" y="2.2" width="7.6" height="7.6" fill="none" stroke="currentColor" stroke-width="1.6" />,
  good: <path d="m1.8 6.4 2.8 2.8 5.6-6.2" fill="none" stroke="currentColor" stroke-width="2" />,
  bad: <path d="M2 2l8 8M10 2l-8 8" stroke="currentColor" stroke-width="2" />,
  caution: (
    <path d="M6 1 11.4 11H.6z M5.3 4.6h1.4L6.5 7.6h-1z M5.3 8.4h1.4v1.4H5.3z" fill="currentColor" fill-rule="evenodd" />
  ),
  quiet: <circle cx="6" cy="6" r="3" fill="none" stroke="currentColor" stroke-width="1.6" />,
};

/** A state: a word, and a shape and a colour with the same meaning. */
export function State({
  state,
  tone = toneOf(state),
}: {
  readonly state: string;
  readonly tone?: string | undefined;
}): JSX.Element {
  return (
    <span class={`state ${tone}`}>
      <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
        {MARKS[state] ?? MARKS[tone]}
      </svg>
      {state}
    </span>
  );
}

interface StateOfJobProps {
  readonly state: string;
  /** The state of its endpoint; undefined when nothing is amiss. */
  readonly endpoint: string | undefined;
}

/** A job's state. It is green only while its endpoint accepts requests. */
export function StateOfJob({ state, endpoint }: StateOfJobProps): JSX.Element {
  if (endpoint === undefined) return <State state={state} />;
  return (
    <>
      <State state={state} tone="quiet" /> <State state={`endpoint ${endpoint}`} tone={toneOf(endpoint)} />
    </>
  );
}

/** A time relative to now, or with `clock` as local time; with its UTC. */
export function Time({ at, clock = false }: { readonly at: string; readonly clock?: boolean }): JSX.Element {
  const now = useNow(clock ? 60_000 : 1000);
  return (
    <time dateTime={at} title={utc(at)}>
      {clock ? clockTime(at, now) : ago(at, now)}
    </time>
  );
}

/** How long ago a time was, to follow a label such as "Oldest waiting"; with its UTC. */
export function Age({ at }: { readonly at: string }): JSX.Element {
  const now = useNow();
  return (
    <time dateTime={at} title={utc(at)}>
      {duration(now - Date.parse(at))}
    </time>
  );
}

interface ShowOlderProps {
  /** Where older entries begin; undefined: there are none. */
  readonly next: string | undefined;
  readonly show: (next: string) => Promise<void>;
}

/** The button that shows older entries of a list. */
export function ShowOlder({ next, show }: ShowOlderProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  return (
    <>
      <Failure failure={failure} />
      {next !== undefined && (
        <p class="buttons">
          <button type="button" disabled={isBusy} onClick={() => void run(() => show(next))}>
            Show older ones
          </button>
        </p>
      )}
    </>
  );
}

export function Failure({ failure, retry }: { readonly failure: ApiFailure | undefined; readonly retry?: () => void }) {
  if (failure === undefined) return null;
  return (
    <div class="notice bad" role="alert">
      {failure.message.split('\n').map((line, i) => (
        <p key={line}>
          <Clipped text={line} /> {i === 0 && failure.status !== 401 && <code class="quiet">{failure.code}</code>}
        </p>
      ))}
      <ProblemList problems={failure.problems} />
      {failure.remedies.map((remedy) => (
        <p key={remedy.action}>
          <Clipped text={remedyOnPage(remedy)} />
        </p>
      ))}
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

interface UnansweredProps {
  readonly fetched: Fetched<unknown>;
  /** The name of the thing that is being read, until there is an answer. */
  readonly what?: string;
}

/** Says that the page could not be refreshed, and how old it is; if it shows nothing yet, why. */
export function Unanswered({ fetched, what }: UnansweredProps): JSX.Element | null {
  const { value, failure, answeredAtMs, again } = fetched;
  if (what !== undefined && value === undefined && failure === undefined) return <Loading what={what} />;
  if (failure === undefined || answeredAtMs === undefined) return <Failure failure={failure} retry={again} />;
  return (
    <div class="notice caution" role="status">
      <p>
        <Clipped text={failure.status === 401 ? 'You have been signed out.' : failure.message} /> This page shows the
        state at <Time at={new Date(answeredAtMs).toISOString()} clock />, and asks again.{' '}
        {failure.status !== 401 && <code class="quiet">{failure.code}</code>}
      </p>
    </div>
  );
}

export function ProblemList({ problems }: { readonly problems: readonly Problem[] }): JSX.Element | null {
  if (problems.length === 0) return null;
  return (
    <ul>
      {problems.map(({ field, message }) => (
        <li key={field + message}>
          {/* A place in a list says nothing to those who write no JSON. */}
          {field !== '' && !field.endsWith(']') && <code>{printable(field)}</code>} <Clipped text={message} />
        </li>
      ))}
    </ul>
  );
}

/** Fills an empty place: says why it is empty, and what to do next; with `isPage` there is nothing else. */
export function Empty({
  title,
  isPage = false,
  children,
}: { readonly title: string; readonly isPage?: boolean } & Children): JSX.Element {
  const Heading = isPage ? 'h1' : 'h2';
  return (
    <div class="empty">
      <Heading>{title}</Heading>
      {children}
    </div>
  );
}

export function Loading({ what }: { readonly what: string }): JSX.Element {
  return (
    <p class="quiet loading" role="status">
      Reading {what} …
    </p>
  );
}

interface CopyProps extends Children {
  readonly text: string;
  /** Its name for those who do not see what stands beside it. */
  readonly label?: string;
}

export function Copy({ text, label, children = 'copy' }: CopyProps): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => void navigator.clipboard.writeText(text).then(() => setCopied(true));
  return (
    <button type="button" class="plain" onClick={copy} aria-label={label}>
      {isCopied ? 'copied' : children}
    </button>
  );
}

/** The terminal command for the same action. */
export function Command({ children }: { readonly children: string }): JSX.Element {
  return (
    <div class="command">
      <code>
        {printable(children)
          .split(' ')
          .map((word, i) => (
            // A word of a command has no other key than its place.
            <Fragment key={i}>
              {i > 0 && ' '}
              <span>{word}</span>
            </Fragment>
          ))}
      </code>
      <Copy text={children} label={`Copy: ${children}`} />
    </div>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly of: readonly T[];
  readonly chosen: T;
  readonly choose: (one: T) => void;
}

/** One of a few, as buttons; further buttons may follow. */
export function Choice<T extends string>(props: ChoiceProps<T> & Children): JSX.Element {
  const { label, of, chosen, choose, children } = props;
  return (
    <div class="choice" role="group" aria-label={label}>
      {of.map((one) => (
        <button type="button" key={one} aria-pressed={one === chosen} onClick={() => choose(one)}>
          {one}
        </button>
      ))}
      {children}
    </div>
  );
}

/** After this many ms, a waiting person is told that it may take longer. */
const SLOW_MS = 3_000;

export interface DialogProps extends Children {
  readonly title: string;
  readonly onClose: () => void;
  /** The label of the button for the action; absent: the dialogue can only be closed. */
  readonly action?: string;
  readonly onAction?: () => void;
  readonly isBusy?: boolean;
  readonly isDangerous?: boolean;
  readonly isDisabled?: boolean;
  readonly failure?: ApiFailure | undefined;
  readonly command?: string | undefined;
  readonly isWide?: boolean;
  /** It only asks for confirmation: the focus is on the button of the action. */
  readonly isOnlyAsking?: boolean;
}

/**
 * A modal dialogue: the browser keeps the focus in it, and Escape closes it. For the page it is closed at once. The browser's own `close` event comes
 * a task later, and pressing the same button again before it would open nothing.
 */
export function Dialog(props: DialogProps): JSX.Element {
  const { title, onClose, action, onAction, isBusy = false, isDangerous = false, isDisabled = false } = props;
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const isGone = useRef(false);
  const cancel = useRef<HTMLButtonElement>(null);
  const submit = useRef<HTMLButtonElement>(null);
  const isSteady = useSteady(`${isBusy} ${isDangerous}`);
  const isSlow = useSettled(isBusy, SLOW_MS) && isBusy;
  // Removing an open dialogue leaves the focus nowhere; closing it returns the focus to where it was. The cleanup of an ordinary effect comes too
  // late for that.
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => {
      isGone.current = true;
      dialog?.close();
    };
  }, []);
  // After an action, the next step has its own button. The focus is not put on a button that may be new to the person, and cannot be undone.
  useLayoutEffect(() => {
    const at = document.activeElement;
    const isLost = at === document.body || at === submit.current;
    if (!isBusy && isLost && (isDangerous || isDisabled)) cancel.current?.focus();
  }, [isBusy, isDangerous]);
  return (
    <dialog
      ref={ref}
      class={props.isWide === true ? 'wide' : ''}
      onCancel={(event) => {
        event.preventDefault();
        // The outcome of an action under way would be shown nowhere.
        if (!isBusy) onClose();
      }}
      onClose={() => {
        if (!isGone.current) onClose();
      }}
      aria-labelledby={id}
    >
      <form
        method="dialog"
        onKeyDown={(event) => {
          // Enter in a choice must not do anything that cannot be undone: that takes its own button.
          if (isDangerous && event.key === 'Enter' && event.target instanceof HTMLInputElement) event.preventDefault();
        }}
        onSubmit={(event) => {
          event.preventDefault();
          if (!isBusy && !isDisabled && isSteady) onAction?.();
        }}
      >
        <h2 id={id}>{title}</h2>
        {props.children}
        <Failure failure={props.failure} />
        {isSlow && (
          <p class="quiet" role="status">
            Still waiting for an answer. If Temporal or a worker is away, it can take up to 90 s.
          </p>
        )}
        {props.command !== undefined && (
          <>
            <p class="quiet small">The same in a terminal:</p>
            <Command>{props.command}</Command>
          </>
        )}
        <div class="buttons">
          <button ref={cancel} type="button" onClick={onClose} disabled={isBusy}>
            {action === undefined ? 'Close' : 'Cancel'}
          </button>
          {action !== undefined && (
            <button
              ref={submit}
              type="submit"
              class={isDangerous ? 'danger' : 'primary'}
              disabled={isBusy || isDisabled}
              aria-disabled={!isSteady}
              autofocus={props.isOnlyAsking === true}
            >
              {isBusy ? '…' : action}
            </button>
          )}
        </div>
      </form>
    </dialog>
  );
}

interface ActionDialogProps extends Omit<DialogProps, 'onAction' | 'isBusy' | 'failure'> {
  readonly run: () => Promise<unknown>;
  /** Called when it was done, before the dialogue closes. */
  readonly onDone: () => void;
}

/** A dialogue for one action, which closes once that is done. */
export function ActionDialog({ run, onDone, ...dialog }: ActionDialogProps): JSX.Element {
  const action = useAction();
  const doIt = async (): Promise<void> => {
    if (!(await action.run(run))) return;
    onDone();
    dialog.onClose();
  };
  return <Dialog {...dialog} isBusy={action.isBusy} failure={action.failure} onAction={() => void doIt()} />;
}

interface HeadProps {
  readonly columns: readonly string[];
  /** The columns of numbers. */
  readonly numbers?: readonly string[];
}

/** The head of a table. */
export function Head({ columns, numbers = [] }: HeadProps): JSX.Element {
  return (
    <thead>
      <tr>
        {columns.map((name) => (
          <th key={name} scope="col" class={numbers.includes(name) ? 'number' : ''}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

export type Figure = readonly [name: string, value: string, href?: string, tone?: string];

/** A few numbers in a row; some lead to more about them. */
export function FigureList({ figures }: { readonly figures: readonly Figure[] }): JSX.Element {
  return (
    <dl class="figures">
      {figures.map(([name, value, href, tone = '']) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={tone}>{href === undefined ? value : <a href={href}>{value}</a>}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Progress, as a bar and in words. */
export function Progress(props: { readonly done: number; readonly of: number | undefined; readonly what: string }) {
  const { done, of, what } = props;
  const share = of === undefined || of === 0 ? undefined : Math.min(1, done / of);
  return (
    <div class="progress">
      <progress aria-label={what} {...(share === undefined ? {} : { value: share, max: 1 })} />
      <span>
        {done.toLocaleString('en')}
        {of === undefined ? '' : ` of ${of.toLocaleString('en')}`}
      </span>
    </div>
  );
}

/** Sets the browser's title of the page. */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Audience triggers`;
  }, [title]);
}
