import type { ComponentChildren, JSX } from 'preact';
import type { Problem } from '../../contract/export-job.ts';
import { FIELDS } from '../../domain/form.ts';
import { FORM, plain } from '../../words/form.ts';
import { capital } from '../../words/text.ts';
import { type Draft, emptyInput, type Field as JobField, fieldOf, isTicked, partInput, textIn } from '../form.ts';
import { Clipped } from '../parts.tsx';

export interface JobFormProps {
  readonly draft: Draft;
  readonly change: (more: Partial<Draft>) => void;
  readonly problems: readonly Problem[];
  /** Fields whose problems are shown already: those that the person has visited, or all. */
  readonly shownFields: 'all' | ReadonlySet<string>;
  readonly touch: (field: string) => void;
  readonly isRestored: boolean;
  readonly forget: () => void;
  /** Whether this is a new job, not a change: a new job has an id to choose, and existing users to send. */
  readonly isNew: boolean;
}

interface FieldProps extends JobFormProps {
  readonly field: string;
  readonly legend: string;
  /** Exactly one of several is chosen. */
  readonly isChoice?: boolean;
  readonly children: ComponentChildren;
}

/** Several inputs that form one value. */
export function Field({ field, legend, isChoice, problems, shownFields, touch, children }: FieldProps): JSX.Element {
  const isWrong = isShownWrong(field, problems, shownFields);
  const aria = isWrong ? { 'aria-describedby': `${field}-problem` } : {};
  const choice = isChoice === true ? { role: 'radiogroup' as const, 'aria-invalid': isWrong } : {};
  return (
    <fieldset class="field" {...aria} {...choice} onFocusOut={() => touch(field)}>
      <legend>{legend}</legend>
      {children}
      <FieldProblems {...{ field, problems, shownFields }} />
    </fieldset>
  );
}

function isShownWrong(field: string, problems: readonly Problem[], shownFields: JobFormProps['shownFields']): boolean {
  return (shownFields === 'all' || shownFields.has(field)) && problems.some((one) => fieldOf(one) === field);
}

function FieldProblems(
  props: Pick<JobFormProps, 'problems' | 'shownFields'> & { readonly field: string },
): JSX.Element | null {
  const { field, problems, shownFields } = props;
  if (!isShownWrong(field, problems, shownFields)) return null;
  const own = problems.filter((one) => fieldOf(one) === field);
  return (
    <div role="alert">
      <ul class="problem" id={`${field}-problem`}>
        {own.map((one) => (
          <li key={one.field + one.message}>
            {one.field !== field && <code>{one.field.slice(field.length).replace(/^\./, '')}: </code>}
            <Clipped text={one.message} />
          </li>
        ))}
      </ul>
    </div>
  );
}

interface TextFieldProps extends JobFormProps {
  /** The input that it fills. */
  readonly input: string;
  /** The field whose problems it shows, if not the one of this name. */
  readonly of?: string;
  /** Whether another input shows the problems of both. */
  readonly isSecond?: boolean;
  readonly label: string;
  readonly hint?: string | undefined;
  readonly placeholder?: string | undefined;
  readonly inputMode?: 'text' | 'url' | 'decimal';
  /** More than one line. */
  readonly rows?: number | undefined;
  readonly isCode?: boolean;
  readonly isDisabled?: boolean;
}

export function TextField(props: TextFieldProps): JSX.Element {
  const { draft, change, touch, input, of = input, label, hint, placeholder, inputMode = 'text', rows } = props;
  const isWrong = isShownWrong(of, props.problems, props.shownFields);
  const common = {
    id: `field-${input}`,
    value: textIn(draft, input),
    disabled: props.isDisabled === true,
    ...(placeholder === undefined ? {} : { placeholder }),
    'aria-invalid': isWrong,
    'aria-describedby': isWrong ? `${of}-problem` : `${input}-hint`,
    autocomplete: 'off' as const,
    spellcheck: false,
    onBlur: () => touch(of),
  };
  const typed = (text: string): void => change({ [input]: text });
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
      <p class="hint" id={`${input}-hint`}>
        {hint}
      </p>
      {props.isSecond !== true && (
        <FieldProblems field={of} problems={props.problems} shownFields={props.shownFields} />
      )}
    </div>
  );
}

export function Check(props: JobFormProps & { readonly input: string; readonly text: ComponentChildren }): JSX.Element {
  return (
    <label class="option">
      <input
        type="checkbox"
        checked={isTicked(props.draft, props.input)}
        onChange={(event) => props.change({ [props.input]: event.currentTarget.checked })}
      />
      <span>{props.text}</span>
    </label>
  );
}

/** An input of the form, according to its field's descriptor. `label` is this form's name for it, if different. */
export function FormInput(props: JobFormProps & { readonly field: JobField; readonly label?: string }): JSX.Element {
  const { draft, field } = props;
  const { input, what, without, example: placeholder, section, ...shown } = FORM[field];
  const { label = shown.label } = props;
  const usual = without === undefined ? '' : `; empty: ${plain(without)}`;
  const { hint = section === undefined ? undefined : `${capital(plain(what))}${usual}.` } = shown;
  const common = { ...props, label, input: field, hint, placeholder };
  switch (input.kind) {
    case 'flag':
      return (
        <Field {...props} legend={label}>
          <Check {...props} input={field} text={capital(plain(what))} />
        </Field>
      );
    case 'choice':
      return <ChoiceField {...props} label={label} choices={input.choices} />;
    case 'numbers':
      return (
        <>
          {input.parts.map(({ name, ...part }, index) => (
            <TextField
              {...props}
              {...part}
              key={name}
              input={partInput(field, name)}
              of={field}
              isSecond={index > 0}
              inputMode="decimal"
            />
          ))}
        </>
      );
    case 'text': {
      const { rows, empty } = input;
      if (empty === undefined) return <TextField {...common} rows={rows} />;
      const box = emptyInput(field);
      return (
        <>
          <TextField {...common} rows={rows} isCode isDisabled={isTicked(draft, box)} />
          <Field {...props} field={box} legend={empty.legend}>
            <Check {...props} input={box} text={empty.text} />
          </Field>
        </>
      );
    }
    case 'json':
      return <TextField {...common} rows={input.rows} isCode />;
    case 'headers':
      return <TextField {...common} rows={input.rows} placeholder="x-list: 7" isCode />;
    case 'number':
      return <TextField {...common} inputMode="decimal" />;
    case 'line':
    case 'own':
      return <TextField {...common} inputMode={FIELDS[field].secret === 'url' ? 'url' : 'text'} />;
  }
}

/** A list with up to this many choices is shown whole; a longer one opens. */
const AT_A_GLANCE = 3;

function ChoiceField(
  props: JobFormProps & {
    readonly field: JobField;
    readonly label: string;
    readonly choices: readonly (readonly [key: string, text: string, value: unknown])[];
  },
): JSX.Element {
  const { draft, change, field, label, choices } = props;
  const chosen = textIn(draft, field);
  if (choices.length > AT_A_GLANCE)
    return (
      <Field {...props} legend={label}>
        <select aria-label={label} value={chosen} onChange={(event) => change({ [field]: event.currentTarget.value })}>
          {choices.map(([key, text]) => (
            <option key={key} value={key}>
              {text}
            </option>
          ))}
        </select>
      </Field>
    );
  return (
    <Field {...props} legend={label} isChoice>
      {choices.map(([key, text]) => (
        <label key={key} class="option">
          <input type="radio" name={field} checked={chosen === key} onChange={() => change({ [field]: key })} />
          <span>{text}</span>
        </label>
      ))}
    </Field>
  );
}
