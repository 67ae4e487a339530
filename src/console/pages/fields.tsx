import type { ComponentChildren, JSX } from 'preact';
import type { Problem } from '../../contract/export-job.ts';
import { type Draft, fieldOf } from '../form.ts';
import { Said } from '../parts.tsx';

export interface JobFormProps {
  readonly draft: Draft;
  readonly change: (more: Partial<Draft>) => void;
  readonly problems: readonly Problem[];
  /** Fields whose problems are told already: those that somebody has been in, or all. */
  readonly told: 'all' | ReadonlySet<string>;
  readonly touch: (field: string) => void;
  readonly isRestored: boolean;
  readonly forget: () => void;
  /** Whether a job is begun, and not changed: that has an id to choose, and existing users to send. */
  readonly isNew: boolean;
}

interface FieldProps extends JobFormProps {
  readonly field: string;
  readonly legend: string;
  /** One of several is chosen. */
  readonly isChoice?: boolean;
  readonly children: ComponentChildren;
}

/** Several inputs that say one thing together. */
export function Field({ field, legend, isChoice, problems, told, touch, children }: FieldProps): JSX.Element {
  const isWrong = isToldWrong(field, problems, told);
  const aria = isWrong ? { 'aria-describedby': `${field}-problem` } : {};
  const choice = isChoice === true ? { role: 'radiogroup' as const, 'aria-invalid': isWrong } : {};
  return (
    <fieldset class="field" {...aria} {...choice} onFocusOut={() => touch(field)}>
      <legend>{legend}</legend>
      {children}
      <FieldProblems {...{ field, problems, told }} />
    </fieldset>
  );
}

function isToldWrong(field: string, problems: readonly Problem[], told: JobFormProps['told']): boolean {
  return (told === 'all' || told.has(field)) && problems.some((one) => fieldOf(one) === field);
}

function FieldProblems(
  props: Pick<JobFormProps, 'problems' | 'told'> & { readonly field: string },
): JSX.Element | null {
  const { field, problems, told } = props;
  if (!isToldWrong(field, problems, told)) return null;
  const own = problems.filter((one) => fieldOf(one) === field);
  return (
    <ul class="problem" id={`${field}-problem`} role="alert">
      {own.map((one) => (
        <li key={one.field + one.message}>
          {one.field !== field && <code>{one.field.slice(field.length).replace(/^\./, '')}: </code>}
          <Said text={one.message} />
        </li>
      ))}
    </ul>
  );
}

type TextOf = {
  [K in keyof Draft]: Draft[K] extends string ? (string extends Draft[K] ? K : never) : never;
}[keyof Draft];

interface TextFieldProps extends JobFormProps {
  /** What it fills in. */
  readonly field: TextOf;
  /** Whose problems it shows, if another's. */
  readonly of?: string;
  /** Whether another input says the problems of both. */
  readonly isSecond?: boolean;
  readonly label: string;
  readonly hint?: string | undefined;
  readonly placeholder?: string | undefined;
  readonly inputMode?: 'text' | 'url' | 'decimal';
  /** More than a line. */
  readonly rows?: number;
  readonly isCode?: boolean;
  readonly isDisabled?: boolean;
}

export function TextField(props: TextFieldProps): JSX.Element {
  const { draft, change, touch, field, of = field, label, hint, placeholder, inputMode = 'text', rows } = props;
  const isWrong = isToldWrong(of, props.problems, props.told);
  const common = {
    id: `field-${field}`,
    value: draft[field],
    disabled: props.isDisabled === true,
    ...(placeholder === undefined ? {} : { placeholder }),
    'aria-invalid': isWrong,
    'aria-describedby': isWrong ? `${of}-problem` : `${field}-hint`,
    autocomplete: 'off' as const,
    spellcheck: false,
    onBlur: () => touch(of),
  };
  const typed = (text: string): void => change({ [field]: text });
  return (
    <div class="field">
      <label for={common.id}>{label}</label>
      {rows === undefined ? (
        <input {...common} type="text" inputMode={inputMode} onInput={(event) => typed(event.currentTarget.value)} />
      ) : (
        <textarea
          {...common}
          rows={rows}
          class={props.isCode === true ? 'code' : ''}
          onInput={(event) => typed(event.currentTarget.value)}
        />
      )}
      <p class="hint" id={`${field}-hint`}>
        {hint}
      </p>
      {props.isSecond !== true && <FieldProblems field={of} problems={props.problems} told={props.told} />}
    </div>
  );
}

type FlagOf = { [K in keyof Draft]: Draft[K] extends boolean ? K : never }[keyof Draft];

export function Check(props: JobFormProps & { readonly field: FlagOf; readonly text: ComponentChildren }): JSX.Element {
  return (
    <label class="option">
      <input
        type="checkbox"
        checked={props.draft[props.field]}
        onChange={(event) => props.change({ [props.field]: event.currentTarget.checked })}
      />
      <span>{props.text}</span>
    </label>
  );
}
