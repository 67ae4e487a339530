import { NoSample } from '../preview/no-sample.ts';
import { type SampleOf, sampleRequest, sendSample } from '../preview/asking.ts';
import type { Sample, SampleWish, SentSample } from '../preview/sample.ts';
import { UserAborted, terminalAsk, type Ask } from '../../cli/ask.ts';
import { command, withJobs } from '../../cli/command.ts';
import { UsageError } from '../../cli/exit-code.ts';
import { startedLines, problemLines } from '../../cli/render-jobs.ts';
import { sentences, count, field, withRemedies } from '../../cli/text.ts';
import { writeNewFile } from '../../cli/files.ts';
import { InvalidJob, JobAlreadyRunning, JobKept, JobRecoverable, TriggersError } from '../../client/calls/errors.ts';
import type {
  AudienceList,
  AuthorizationListing,
  JobClient,
  JobDefinitionInput,
  StartedJob,
} from '../../client/job-client.ts';
import { defaultOf, isRequired, FORM_DEFAULTS, FORM_FIELDS, FIELDS } from '../../domain/form.ts';
import { FORM, plain } from '../../words/form.ts';
import { JOB_ID_PATTERN } from '../../domain/names.ts';
import { capital } from '../../words/text.ts';
import { counted, printable, printableReason } from '../../domain/text.ts';
import { shownUrl } from '../../domain/mask-url.ts';
import { indentedJson } from '../../words/indented-json.ts';
import { fieldName } from '../../words/status-rows.ts';
import { answerLines, testedText } from '../preview/render.ts';
import { checkJobDefinition } from '../../contract/export-job.ts';

export const newCommand = command({
  name: 'new',
  description: 'set up a job by answering questions: the form, a test, the start',
  json: ': the job that was started',
  notes: `Nothing is started, sent or saved until you confirm. Without a terminal, use:
triggers start.`,
  examples: ['triggers new'],
  async run(_args, _options, { terminal, print }) {
    if (terminal.stdin.isTTY !== true)
      throw new UsageError(
        'triggers new asks questions at a terminal, and there is none here. Use a job file: triggers start job.json',
      );
    const ask = await terminalAsk({ input: terminal.stdin, output: process.stderr });
    const { columns } = terminal;
    const made = await withJobs((jobs) =>
      newJob({
        ask,
        jobs: withSamples(jobs),
        say: (text) => terminal.err(sentences(text, terminal)),
        columns,
        save: writeNewFile,
      }),
    );
    if (made === undefined) throw new UserAborted('Nothing was started.');
    if (made === 'saved') return terminal.err('Nothing was started.');
    const members = made.definition.existingUsers === true ? 'Current members are sent first, as enters.' : '';
    print(made.started, () => startedLines(made.started, members, terminal));
  },
});

function withSamples(jobs: JobClient): NewJobOptions['jobs'] {
  return {
    authorizations: () => jobs.authorizations(),
    audiences: () => jobs.audiences(),
    profileFields: (audience) => jobs.profileFields(audience),
    check: (definition, jobId) => jobs.check(definition, jobId),
    start: (definition, options) => jobs.start(definition, options),
    sample: (of, wish) => sampleRequest(jobs.core, of, wish),
    test: (of) => sendSample(jobs.core, of, {}),
  };
}

/** The form's questions to a worker. */
export interface FormJobs extends Pick<JobClient, 'authorizations' | 'audiences' | 'profileFields' | 'check'> {
  readonly sample: (of: SampleOf, wish: SampleWish) => Promise<Sample>;
}

export interface FormOptions {
  readonly ask: Ask;
  readonly jobs: FormJobs;
  /** Shows the person one or more lines. */
  readonly say: (line: string) => void;
  readonly columns: number;
}

type Field = keyof JobDefinitionInput;

/** The choices that the form offers. */
interface FormChoices {
  readonly authorizations: readonly AuthorizationListing[];
  readonly audiences: AudienceList;
}

/**
 * Asks the steps of the form in their order (Lytics, "Webhooks: Audience Triggers", Configuration), then our additional ones. If a worker finds
 * something wrong, it shows that and asks again; the returned definition can therefore be started. Rejects with `UserAborted` at Ctrl-C.
 *
 * @throws UsageError when there is no audience to choose; NoWorker
 */
async function askForm(options: FormOptions): Promise<JobDefinitionInput> {
  const { jobs } = options;
  const known = await whatIsKnown(jobs);
  if (known.audiences.total === 0)
    throw new UsageError('The source has no audience to choose from: see docs/sources/file.md.');
  const draft: Draft = {};
  for (const step of [askAuthorization, plainly('label'), plainly('description'), askAudiences, askUrl])
    await step(draft, options, known);
  await fixDraft(draft, options, known);
  const askParallel = plainly('parallelRequestCount');
  for (const step of [askFields, askExistingUsers, askFormat, askParallel, askRate, askMore])
    await step(draft, options, known);
  return complete(draft);
}

async function whatIsKnown(jobs: FormJobs): Promise<FormChoices> {
  return { authorizations: await jobs.authorizations(), audiences: await jobs.audiences() };
}

type Step = (draft: Draft, options: FormOptions, known: FormChoices) => Promise<void>;

/** Asks for a field by its descriptor alone. */
function plainly(field: Field): Step {
  return async (draft, { ask }) => await askField(field, draft, ask);
}

const askUrl = plainly('webhookUrl');

const askAuthorization: Step = async (draft, { ask }, { authorizations }) => {
  const named = authorizations.map(({ name, kinds, origins }) => ({
    name: printable(name),
    value: name,
    description: `${kinds.join(', ') || 'nothing'}, to ${origins.map(printable).join(', ')}`,
  }));
  const none = { name: 'Webhook endpoint does not require authorization', value: null };
  draft.authorization = await ask.one<string | null>({ message: 'Authorization', choices: [...named, none] });
};

const askAudiences: Step = async (draft, { ask, say }, { audiences: { audiences, total } }) => {
  if (audiences.length < total)
    say(
      `The source has ${count(total)} audiences; the first ${count(audiences.length)} are listed. A job file can name any of them.`,
    );
  const choices = audiences.map(({ slug, name, size }) => ({
    name: `${printable(slug)}${size === undefined ? '' : ` (${counted(size, 'member')})`}`,
    value: slug,
    description: printable(name),
  }));
  draft.audiences = await someOf('audiences', () => ask.some({ message: 'Audiences', choices, least: 1 }), say);
};

const askFields: Step = async (draft, { ask, jobs, say }) => {
  const fields = await fieldsOfAMember(jobs, draft.audiences ?? []);
  if (fields.length === 0)
    return say('No member has a profile yet: all fields will be sent. A job file can name some.');
  const choices = fields.map((field) => ({ name: printable(field), value: field }));
  const message = 'Export Fields (optional; none: all)';
  draft.exportFields = await someOf('exportFields', () => ask.some({ message, choices, least: 0 }), say);
};

const askExistingUsers: Step = async (draft, { ask }, { audiences: { audiences } }) => {
  const chosen = audiences.filter(({ slug }) => draft.audiences?.includes(slug) === true);
  const sizes = chosen.flatMap(({ size }) => (size === undefined ? [] : [size]));
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const known = all === 1 ? 'the 1 user who is' : `the ${count(all)} users who are`;
  const whom = sizes.length < chosen.length ? 'everybody who is' : known;
  const message = `Existing Users: first send ${whom} already part of the audience, as entered?`;
  draft.existingUsers = await ask.yes({ message, initial: false });
};

const askFormat: Step = async (draft, { ask, jobs, say }) => {
  try {
    for (const [title, userLegacyMessageFormat] of [
      ['New format (default):', false],
      ['Old format:', true],
    ] as const) {
      const { request } = await jobs.sample({ definition: complete(draft) }, { userLegacyMessageFormat });
      say([title, ...indentedJson(request.body), ''].join('\n'));
    }
  } catch (error) {
    if (!(error instanceof NoSample)) throw error;
    // The error's own text recommends an option, which the form does not have.
    const why = error.problem.field === 'user' ? 'no member has a profile yet.' : printableReason(error.message);
    say(`The payloads cannot be shown: ${why}`);
  }
  draft.userLegacyMessageFormat = await ask.yes({
    message: 'User Legacy Message Format: use the old format?',
    initial: false,
  });
};

const askRate: Step = async (draft, { ask }) => {
  delete draft.backfillPerSecond;
  if (draft.existingUsers === true) await askField('backfillPerSecond', draft, ask);
};

/** Further settings for people who want them; all are optional. */
const askMore: Step = async (draft, options, known) => {
  const message = 'More (optional; none: as usual)';
  const chosen = await options.ask.some({ message, choices: FURTHER_CHOICES, least: 0 });
  if (chosen.length === 0) return;
  for (const { value: field } of FURTHER_CHOICES) if (chosen.includes(field)) await askField(field, draft, options.ask);
  await fixDraft(draft, options, known);
};

/**
 * The questions that correct a field, if its own input is not enough. If an authorization may not be sent to a URL, the authorization may be right
 * and the URL misspelt.
 */
const AGAIN: { readonly [field in Field]?: readonly Step[] } = {
  authorization: [askAuthorization, askUrl],
  audiences: [askAudiences],
  webhookUrl: [askUrl],
  exportFields: [askFields],
  existingUsers: [askExistingUsers, askRate],
  userLegacyMessageFormat: [askFormat],
};

function stepsFor(field: Field): readonly Step[] {
  return AGAIN[field] ?? [plainly(field)];
}

/**
 * Asks one question of the form again, then the questions for all problems that a worker finds.
 *
 * @throws NoWorker
 */
async function changeAnswer(definition: JobDefinitionInput, options: FormOptions): Promise<JobDefinitionInput> {
  const first = FORM_FIELDS.filter((field) => FORM[field].section === undefined);
  const choices = first.map((field) => ({ name: FORM[field].label, value: stepsFor(field) }));
  const more = { name: 'More', value: [askMore] };
  const steps = await options.ask.one({ message: 'Which answer?', choices: [...choices, more] });
  const known = await whatIsKnown(options.jobs);
  const draft: Draft = { ...definition };
  for (const step of steps) await step(draft, options, known);
  await fixDraft(draft, options, known);
  return complete(draft);
}

/** Asks again until a worker finds nothing wrong. */
async function fixDraft(draft: Draft, options: FormOptions, known: FormChoices): Promise<void> {
  for (;;) {
    const prepared = await options.jobs.check(complete(draft));
    if (prepared.ok) return prepared.warnings.forEach((warning) => options.say(`Warning: ${printable(warning)}`));
    problemLines(prepared.problems, options.columns).forEach((line) => options.say(line));
    const places = prepared.problems.map(({ field }) => field.replace(/[.[].*$/s, ''));
    const steps = new Set(FORM_FIELDS.filter((field) => places.includes(field)).flatMap(stepsFor));
    if (steps.size === 0) throw new InvalidJob(prepared.problems);
    for (const step of steps) await step(draft, options, known);
  }
}

/** Asks until the form's own rules are met, because nothing else counts the choices. */
async function someOf(field: string, ask: () => Promise<string[]>, say: (line: string) => void): Promise<string[]> {
  for (;;) {
    const chosen = await ask();
    const problem = problemOf(field, chosen);
    if (problem === undefined) return chosen;
    say(problem);
  }
}

async function fieldsOfAMember(jobs: FormJobs, audiences: readonly string[]): Promise<readonly string[]> {
  for (const audience of audiences) {
    const fields = await jobs.profileFields(audience);
    if (fields.length > 0) return fields;
  }
  return [];
}

/** The answers in the form's order, as a job file has them. */
function complete(draft: Draft): JobDefinitionInput {
  // The check reports missing fields; here all required ones have been asked.
  return Object.fromEntries(
    FORM_FIELDS.flatMap((key) => (draft[key] === undefined ? [] : [[key, draft[key]]])),
  ) as unknown as JobDefinitionInput;
}

export interface NewJobOptions extends FormOptions {
  readonly jobs: FormJobs & Pick<JobClient, 'start'> & { readonly test: (of: SampleOf) => Promise<SentSample> };
  /** Writes a new file; false when a file of that name exists. */
  readonly save: (file: string, text: string) => boolean;
}

/** A job that was started from the dialogue. */
export interface NewJob {
  readonly started: StartedJob;
  readonly definition: JobDefinitionInput;
}

/**
 * Asks the form, then what to do with it, until the job is started or the person leaves. Returns `saved` when they leave with a file of the current
 * answers, undefined when they leave with nothing. Nothing is started, sent or saved before the person says so.
 */
export async function newJob(options: NewJobOptions): Promise<NewJob | 'saved' | undefined> {
  let definition = await askForm(options);
  const summarize = () => summaryLines(definition, options.columns).forEach((line) => options.say(line));
  summarize();
  let saved: JobDefinitionInput | undefined;
  let hasFailed = false;
  for (;;) {
    const next = await options.ask.one<'start' | 'test' | 'change' | 'save' | 'leave'>({
      message: 'What next?',
      // One Enter too many must not start a job that just failed.
      first: hasFailed ? 'change' : 'start',
      choices: [
        { name: 'Start Export', value: 'start' },
        { name: 'Send a test first', value: 'test', description: 'One message about a real person, marked as a test' },
        { name: 'Change an answer', value: 'change' },
        { name: 'Save as a job file', value: 'save', description: 'For triggers start, render and test' },
        { name: 'Leave without starting', value: 'leave' },
      ],
    });
    if (next === 'leave') return saved === definition ? 'saved' : undefined;
    hasFailed = false;
    try {
      if (next === 'start') return { started: await start(definition, options), definition };
      if (next === 'test') hasFailed = !(await test(definition, options));
      else if (next === 'save') {
        await save(definition, options);
        saved = definition;
      } else {
        definition = await changeAnswer(definition, options);
        summarize();
      }
    } catch (error) {
      // All answers are kept; the failed step can be tried again.
      if (!(error instanceof TriggersError || error instanceof UsageError)) throw error;
      hasFailed = true;
      showFailure(error, options.say);
    }
  }
}

/** Shows the failure, then the remedy. */
function showFailure(error: Error, say: (line: string) => void): void {
  for (const line of withRemedies(error).split('\n')) say(printable(line));
}

/** The summary of a job before it starts. */
function summaryLines(definition: JobDefinitionInput, columns: number): string[] {
  const { description, exportFields = [], existingUsers, backfillPerSecond, userLegacyMessageFormat } = definition;
  const rate = backfillPerSecond == null ? '' : `, at most ${count(backfillPerSecond)} a second`;
  const rows: (readonly [string, string])[] = [
    ['Label', definition.label],
    ...(description === undefined ? [] : [['Description', description] as const]),
    ['Audiences', definition.audiences.join(', ')],
    ['Sends to', shownUrl(definition.webhookUrl)],
    ['Authorization', definition.authorization ?? 'none'],
    ['Fields', exportFields.length === 0 ? 'all' : exportFields.map(fieldName).join(', ')],
    ['Existing', existingUsers === true ? `sent first, as entered${rate}` : 'not sent'],
    ['Format', userLegacyMessageFormat === true ? 'old' : 'new'],
    ['In parallel', `at most ${definition.parallelRequestCount ?? FORM_DEFAULTS.parallelRequestCount}`],
    ...furtherRows(definition),
  ];
  return ['', ...rows.flatMap(([name, value]) => field(name, printable(value), columns)), ''];
}

/** Starts it under the id made from its label. If that id is taken or none can be made, asks for another. */
async function start(definition: JobDefinitionInput, { ask, jobs, say, columns }: NewJobOptions): Promise<StartedJob> {
  let jobId: string | undefined;
  for (;;) {
    try {
      return await jobs.start(definition, jobId === undefined ? {} : { jobId });
    } catch (error) {
      const isTaken = error instanceof JobAlreadyRunning || error instanceof JobKept || error instanceof JobRecoverable;
      if (isTaken) showFailure(error, say);
      else if (error instanceof InvalidJob && error.problems.every((problem) => problem.field === 'id'))
        problemLines(error.problems, columns).forEach((line) => say(line));
      else throw error;
    }
    const check = (text: string): string | undefined =>
      JOB_ID_PATTERN.test(text) ? undefined : 'Letters, digits, dots, dashes and underscores, at most 100.';
    jobId = await ask.text({ message: 'Id of the job, for use in commands', check });
  }
}

/** Whether the endpoint accepted it. */
async function test(definition: JobDefinitionInput, { jobs, say, columns }: NewJobOptions): Promise<boolean> {
  const sent = await jobs.test({ definition });
  say(testedText(sent));
  answerLines(sent, { columns }).forEach((line) => say(line));
  return sent.answer.ok;
}

async function save(definition: JobDefinitionInput, { ask, say, save: write }: NewJobOptions): Promise<void> {
  for (;;) {
    const file = await ask.text({ message: 'File', initial: 'job.json' });
    try {
      if (write(file, `${JSON.stringify(definition, null, 2)}\n`))
        return say(`Saved. Start it with: triggers start ${printable(file)}`);
      say(`The file ${printable(file)} already exists. Choose another name.`);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      showFailure(error, say);
    }
  }
}

/** The fields of the dialogue's optional part. */
const FURTHER_FIELDS = FORM_FIELDS.filter((field) => FORM[field].section !== undefined);

/** The optional fields, as they are offered. */
const FURTHER_CHOICES = FURTHER_FIELDS.map((field) => ({
  name: FORM[field].label,
  value: field,
  description: capital(plain(FORM[field].what)),
}));

/** Asks for a field according to its input: as a line, as people type it, or as JSON like in a job file. An empty line means the default. */
async function askField(field: Field, draft: Draft, ask: Ask): Promise<void> {
  // The value as the form's own rules read it.
  Object.assign(draft, { [field]: await answerFor(field, draft, ask) });
}

async function answerFor(field: Field, draft: Draft, ask: Ask): Promise<unknown> {
  const { input, label, what, section } = FORM[field];
  const { default: byDefault } = FIELDS[field];
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

/** The answers to these fields, for the summary. */
function furtherRows(definition: JobDefinitionInput): (readonly [name: string, value: string])[] {
  return FURTHER_FIELDS.flatMap((field) => {
    const { label } = FORM[field];
    const value = definition[field] ?? null;
    if (value === defaultOf(field)) return [];
    const shown = value === true ? 'yes' : typeof value === 'string' ? value : JSON.stringify(value, shownUrls);
    return [[label, shown] as const];
  });
}

/** A webhook URL is often a secret, even one for a single event. */
function shownUrls(name: string, value: unknown): unknown {
  return name === 'webhookUrl' && typeof value === 'string' ? shownUrl(value) : value;
}

/** The answers so far: a definition in the making. */
type Draft = { -readonly [K in keyof JobDefinitionInput]?: JobDefinitionInput[K] };

/** Why one answer is wrong by the form's rules; undefined if it is not. */
function problemOf(field: string, value: unknown): string | undefined {
  const checked = checkJobDefinition({ [field]: value });
  return checked.ok ? undefined : checked.problems.find((problem) => problem.field.startsWith(field))?.message;
}

/** Why a typed number is wrong; undefined if it is not. */
function problemOfNumber(field: string, text: string): string | undefined {
  const number = text.trim() === '' ? NaN : Number(text);
  if (field === 'parallelRequestCount' && !Number.isInteger(number)) return 'Enter a whole number.';
  return Number.isNaN(number) || number <= 0 ? 'Enter a number above 0.' : problemOf(field, number);
}
