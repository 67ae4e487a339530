import type { JobDefinitionInput } from '../client/export-jobs.ts';
import { defaultOf, FORM, isRequired, plain } from '../domain/form-fields.ts';
import { FORM_FIELDS } from '../domain/job-form.ts';
import { capital, shownUrl } from '../domain/shown.ts';
import type { Ask } from './ask.ts';
import { type Draft, problemOf, problemOfNumber } from './form-answers.ts';

type Field = keyof JobDefinitionInput;

/** The fields that the dialogue asks for only where somebody wants more than the usual. */
const FURTHER_FIELDS = FORM_FIELDS.filter((field) => FORM[field].section !== undefined);

/** What goes beyond the usual form, as it is offered. */
export const FURTHER_CHOICES = FURTHER_FIELDS.map((field) => ({
  name: FORM[field].label,
  value: field,
  description: capital(plain(FORM[field].what)),
}));

/** Asks for a field as its input says: in a line, as people type it, or as a job file says it. An empty line means the default. */
export async function askField(field: Field, draft: Draft, ask: Ask): Promise<void> {
  // As the form's own rules took it.
  Object.assign(draft, { [field]: await answerFor(field, draft, ask) });
}

async function answerFor(field: Field, draft: Draft, ask: Ask): Promise<unknown> {
  const { input, label, what, section, default: byDefault } = FORM[field];
  if (input.kind === 'flag') {
    const isWanted = await ask.yes({ message: `${label}: ${plain(what)}?`, initial: true });
    return isWanted ? input.on : byDefault;
  }
  if (input.kind === 'choice')
    return await ask.one({ message: label, choices: input.choices.map(([, name, value]) => ({ name, value })) });
  const before = section === undefined ? (draft[field] ?? byDefault) : undefined;
  const typed = await ask.text({
    message: questionFor(field),
    ...(typeof before === 'string' || typeof before === 'number' ? { initial: String(before) } : {}),
    check: (text) => (text.trim() === '' && !isRequired(field) ? undefined : problemIn(field, text.trim())),
  });
  return typed.trim() === '' ? byDefault : valueOf(field, typed.trim());
}

function questionFor(field: Field): string {
  const { label, section, example, without = 'none' } = FORM[field];
  if (section === undefined) return isRequired(field) ? label : `${label} (optional)`;
  return `${label}${example === undefined ? '' : `, such as ${example}`} (empty: ${plain(without)})`;
}

/** The problem of a line that was typed. */
function problemIn(field: Field, typed: string): string | undefined {
  const { input, example = '' } = FORM[field];
  if (input.kind === 'number') return problemOfNumber(field, typed);
  if (!isTypedAsJson(field)) return problemOf(field, typed);
  try {
    return problemOf(field, JSON.parse(typed));
  } catch {
    return `Write it as in a job file: ${example}`;
  }
}

function valueOf(field: Field, typed: string): unknown {
  if (FORM[field].input.kind === 'number') return Number(typed);
  return isTypedAsJson(field) ? JSON.parse(typed) : typed;
}

function isTypedAsJson(field: Field): boolean {
  return ['json', 'headers', 'numbers'].includes(FORM[field].input.kind);
}

/** What was said of these fields, for the summary. */
export function furtherRows(definition: JobDefinitionInput): (readonly [name: string, value: string])[] {
  return FURTHER_FIELDS.flatMap((field) => {
    const { label } = FORM[field];
    const value = definition[field] ?? null;
    if (value === defaultOf(field)) return [];
    const shown = value === true ? 'yes' : typeof value === 'string' ? value : JSON.stringify(value, shownUrls);
    return [[label, shown] as const];
  });
}

/** A webhook URL is often a secret, also one that is for one event. */
function shownUrls(name: string, value: unknown): unknown {
  return name === 'webhookUrl' && typeof value === 'string' ? shownUrl(value) : value;
}
