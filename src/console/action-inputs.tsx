import { Fragment, type JSX } from 'preact';
import { shownCount } from '../domain/text.ts';
import { shellWord } from '../words/text.ts';

// Inputs and texts that the dialogues of a job's actions share.

interface TypedProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly hint?: string;
  /** Whether the hint says what is wrong. */
  readonly isWrong?: boolean;
  /** Whether it has the focus when the dialogue opens. */
  readonly isFirst?: boolean;
  readonly isTime?: boolean;
}

/** A labelled input. */
export function Typed({
  id,
  label,
  value,
  onInput,
  hint,
  isWrong = false,
  isFirst = false,
  isTime = false,
}: TypedProps) {
  const input = {
    id,
    maxLength: 500,
    autocomplete: 'off',
    autofocus: isFirst,
    value,
    onInput: (event: { readonly currentTarget: HTMLInputElement }) => onInput(event.currentTarget.value),
  } as const;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {isTime ? <input type="datetime-local" {...input} /> : <input {...input} />}
      {hint !== undefined && <p class={isWrong ? 'problem' : 'hint'}>{hint}</p>}
    </div>
  );
}

/** Asks why, for the job's history. */
export function Reason(props: Pick<TypedProps, 'value' | 'onInput' | 'isFirst'>): JSX.Element {
  return <Typed id="reason" label="Reason (optional)" hint="The job's history shows it." {...props} />;
}

/** The count before anything is sent. */
export function Counts({
  counts,
}: {
  readonly counts: readonly (readonly [name: string, count: number])[];
}): JSX.Element {
  return (
    <dl class="rows">
      {counts.map(([name, count]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{shownCount(count)}</dd>
        </Fragment>
      ))}
    </dl>
  );
}

export function reasonOf(reason: string): { readonly reason?: string } {
  return reason.trim() === '' ? {} : { reason };
}

export function reasonOption(reason: string): string {
  return reason.trim() === '' ? '' : ` --reason ${shellWord(reason)}`;
}
