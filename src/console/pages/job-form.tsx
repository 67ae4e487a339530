import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { AudienceList, AuthorizationListing } from '../../contract/audience.ts';
import type { Problem } from '../../contract/export-job.ts';
import type { Method } from '../../contract/request-shape.ts';
import { counted, printable, shownCount } from '../../domain/shown.ts';
import { pathOf } from '../api.ts';
import { useAsked } from '../asked.ts';
import { type Draft, fieldOf, hasField, withField } from '../form.ts';
import { Empty, Failure, ProblemList, Said } from '../parts.tsx';
import { inForm } from '../words.ts';

export interface JobFormProps {
  readonly draft: Draft;
  readonly change: (more: Partial<Draft>) => void;
  readonly problems: readonly Problem[];
  /** Fields whose problems are told already: those that somebody has been in, or all. */
  readonly told: 'all' | ReadonlySet<string>;
  readonly touch: (field: string) => void;
  /** Whether a job is begun, and not changed: that has an id to choose, and existing users to send. */
  readonly isNew: boolean;
}

/** The form in the order of its steps, then what else a job can say. */
export function JobForm(props: JobFormProps): JSX.Element {
  const { draft, isNew } = props;
  const { value: audiences, failure, again } = useAsked<AudienceList>(pathOf(['audiences']));
  const { value: known } = useAsked<{ authorizations: AuthorizationListing[] }>(pathOf(['authorizations']));
  const firstAudience = draft.audiences[0];
  return (
    <>
      <dl class="rows field">
        <dt>Provider</dt>
        <dd>Webhooks</dd>
        <dt>Job type</dt>
        <dd>Audience Triggers</dd>
      </dl>
      <Failure failure={failure} retry={again} />
      <Authorization {...props} authorizations={known?.authorizations} />
      <TextField {...props} field="label" label="Label" hint="By which people tell this job from others." />
      {isNew && (
        <TextField
          {...props}
          field="id"
          label="Id (optional)"
          hint="Its name in commands and URLs; else it is made from the label."
        />
      )}
      <TextField {...props} field="description" label="Description (optional)" rows={2} />
      <Audiences {...props} list={audiences} />
      <TextField
        {...props}
        field="webhookUrl"
        label="Webhook URL"
        inputMode="url"
        placeholder="https://hooks.example.com/audiences"
      />
      <ExportFields {...props} audience={firstAudience} />
      {isNew && <ExistingUsers {...props} list={audiences} />}
      <Field {...props} field="userLegacyMessageFormat" legend="User Legacy Message Format (optional)">
        <Check {...props} field="userLegacyMessageFormat" text="Use the old format for the payload" />
      </Field>
      <TextField
        {...props}
        field="parallelRequestCount"
        label="Parallel Request Count (optional)"
        inputMode="decimal"
        hint="How many requests the endpoint can take at a time: never more are in flight."
      />
      <More {...props} />
    </>
  );
}

interface FieldProps extends JobFormProps {
  readonly field: string;
  readonly legend: string;
  readonly children: ComponentChildren;
}

/** Several inputs that say one thing together. */
function Field({ field, legend, problems, told, touch, children }: FieldProps): JSX.Element {
  return (
    <fieldset class="field" onFocusOut={() => touch(field)}>
      <legend>{legend}</legend>
      {children}
      <FieldProblems {...{ field, problems, told }} />
    </fieldset>
  );
}

function FieldProblems(
  props: Pick<JobFormProps, 'problems' | 'told'> & { readonly field: string },
): JSX.Element | null {
  const { field, problems, told } = props;
  if (told !== 'all' && !told.has(field)) return null;
  const own = problems.filter((one) => fieldOf(one) === field);
  if (own.length === 0) return null;
  return (
    <ul class="problem" id={`${field}-problem`} role="alert">
      {own.map((one) => (
        <li key={one.field + one.message}>
          {one.field !== field && <code>{one.field.slice(field.length).replace(/^\./, '')}: </code>}
          <Said text={inForm(one.message)} />
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

function TextField(props: TextFieldProps): JSX.Element {
  const { draft, change, touch, field, of = field, label, hint, placeholder, inputMode = 'text', rows } = props;
  const isWrong = (props.told === 'all' || props.told.has(of)) && props.problems.some((one) => fieldOf(one) === of);
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

function Check(props: JobFormProps & { readonly field: FlagOf; readonly text: ComponentChildren }): JSX.Element {
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

const NONE = 'Use Webhook endpoint does not require authorization instead';

function Authorization(
  props: JobFormProps & { readonly authorizations: readonly AuthorizationListing[] | undefined },
): JSX.Element {
  const { draft, change, authorizations = [] } = props;
  const isUnlisted =
    typeof draft.authorization === 'string' && !authorizations.some(({ name }) => name === draft.authorization);
  const option = (value: string | null, text: ComponentChildren): JSX.Element => (
    <label class="option" key={value ?? ''}>
      <input
        type="radio"
        name="authorization"
        checked={draft.authorization === value}
        onChange={() => change({ authorization: value })}
      />
      <span>{text}</span>
    </label>
  );
  return (
    <Field {...props} field="authorization" legend="Authorization">
      {authorizations.map(({ name, kinds, origins }) =>
        option(
          name,
          <>
            <bdi>{printable(name)}</bdi>{' '}
            <span class="quiet">
              {kinds.join(', ') || 'nothing'}, to {origins.map(printable).join(', ')}
            </span>
          </>,
        ),
      )}
      {isUnlisted && option(draft.authorization ?? null, <bdi>{printable(draft.authorization ?? '')}</bdi>)}
      {option(null, NONE)}
    </Field>
  );
}

/** With more of them than this there is a search. */
const SEARCHED_FROM = 8;
const MOST_SHOWN = 100;

function Audiences(props: JobFormProps & { readonly list: AudienceList | undefined }): JSX.Element {
  const { draft, change, list } = props;
  const [search, setSearch] = useState('');
  const all = list?.audiences ?? [];
  const found = all.filter(({ slug, name }) => `${slug}\n${name}`.toLowerCase().includes(search.trim().toLowerCase()));
  // What was chosen stays in sight, also what the source does not list: by id, or a slug that it has no more.
  const isChosen = ({ id, slug }: { id: string; slug: string }): boolean =>
    draft.audiences.includes(slug) || draft.audiences.includes(id);
  const others = draft.audiences.filter((one) => !all.some(({ id, slug }) => slug === one || id === one));
  const choose = (names: readonly string[], name: string, isWanted: boolean): void => {
    const rest = draft.audiences.filter((one) => !names.includes(one));
    change({ audiences: isWanted ? [...rest, name] : rest });
  };
  const narrow = all.filter((one) => isChosen(one) && (one.windowMinutes ?? Infinity) < 30);
  return (
    <Field {...props} field="audiences" legend="Audiences">
      {all.length >= SEARCHED_FROM && (
        <input
          type="search"
          aria-label="Search audiences"
          placeholder={`Search ${shownCount(list?.total ?? all.length)} audiences`}
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
          // It searches as it is typed; Enter would start the export.
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.preventDefault();
          }}
        />
      )}
      <div class="options">
        {list === undefined && <span class="quiet">Reading audiences …</span>}
        {list !== undefined && all.length === 0 && <span class="quiet">The source has no audience.</span>}
        {others.map((one) => (
          <label key={one} class="option">
            <input type="checkbox" checked onChange={() => choose([one], one, false)} />
            <bdi>{printable(one)}</bdi>
          </label>
        ))}
        {found.slice(0, MOST_SHOWN).map((one) => (
          <label key={one.id} class="option">
            <input
              type="checkbox"
              checked={isChosen(one)}
              onChange={(event) => choose([one.id, one.slug], one.slug, event.currentTarget.checked)}
            />
            <span>
              <bdi>{printable(one.name)}</bdi> <span class="quiet">{printable(one.slug)}</span>
            </span>
            <span class="quiet number">{one.size === undefined ? '' : shownCount(one.size)}</span>
          </label>
        ))}
        {found.length > MOST_SHOWN && (
          <span class="quiet">and {shownCount(found.length - MOST_SHOWN)} more: search</span>
        )}
        {search !== '' && found.length === 0 && <span class="quiet">No audience is called like that.</span>}
      </div>
      {narrow.length > 0 && (
        <p class="hint caution">
          {narrow.map(({ slug }) => printable(slug)).join(', ')}: the window of time is shorter than 30 minutes, and may
          not be reliable.
        </p>
      )}
    </Field>
  );
}

function ExportFields(props: JobFormProps & { readonly audience: string | undefined }): JSX.Element {
  const { draft, change, audience } = props;
  const path = audience === undefined ? undefined : pathOf(['audiences', audience, 'fields']);
  const { value } = useAsked<{ fields: string[] }>(path);
  return (
    <Field {...props} field="exportFields" legend="Export Fields (optional)">
      <p class="hint">If none are selected, all fields of the user are sent.</p>
      {value !== undefined && value.fields.length > 0 && (
        <div class="options">
          {value.fields.map((field) => (
            <label key={field} class="option">
              <input
                type="checkbox"
                checked={hasField(draft.exportFields, field)}
                onChange={(event) =>
                  change({ exportFields: withField(draft.exportFields, field, event.currentTarget.checked) })
                }
              />
              <bdi>{printable(field)}</bdi>
            </label>
          ))}
        </div>
      )}
      <details>
        <summary class="hint">Others, or under another name</summary>
        <textarea
          class="code"
          rows={3}
          aria-label="Export fields, one a line"
          placeholder={'email\nfirst_name as vorname\n"a name as is" as name'}
          spellcheck={false}
          value={draft.exportFields}
          onInput={(event) => change({ exportFields: event.currentTarget.value })}
        />
      </details>
    </Field>
  );
}

/** How many members the chosen audiences have, as far as the source says. */
export function membersOf(list: AudienceList | undefined, chosen: readonly string[]): number | undefined {
  const sizes = chosen.map((name) => list?.audiences.find(({ id, slug }) => slug === name || id === name)?.size);
  if (sizes.length === 0 || sizes.includes(undefined)) return undefined;
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

function ExistingUsers(props: JobFormProps & { readonly list: AudienceList | undefined }): JSX.Element {
  const members = membersOf(props.list, props.draft.audiences);
  const who =
    members === undefined
      ? 'everybody who is already part of the audience'
      : members === 1
        ? 'the 1 user who is already part of the audience'
        : `the ${shownCount(members)} users who are already part of the audience`;
  return (
    <Field {...props} field="existingUsers" legend="Existing Users (optional)">
      <Check {...props} field="existingUsers" text={`First send ${who}, as entered`} />
    </Field>
  );
}

function More(props: JobFormProps): JSX.Element {
  const { draft, change, problems, told } = props;
  const isWrong = problems.some((one) => MORE_FIELDS.has(fieldOf(one)) && (told === 'all' || told.has(fieldOf(one))));
  const [isOpen, setOpen] = useState(false);
  const isNeeded = isWrong || isMoreSaid(draft);
  // It opens by itself, and never closes: somebody may be in the field that they just emptied.
  useEffect(() => {
    if (isNeeded) setOpen(true);
  }, [isNeeded]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>More</summary>
      <h3>What is sent</h3>
      <Field {...props} field="events" legend="Events">
        {(
          [
            ['both', 'Enters and exits'],
            ['enter', 'Enters only'],
            ['exit', 'Exits only'],
          ] as const
        ).map(([value, text]) => (
          <label key={value} class="option">
            <input
              type="radio"
              name="events"
              checked={draft.events === value}
              onChange={() => change({ events: value })}
            />
            <span>{text}</span>
          </label>
        ))}
      </Field>
      <Field {...props} field="memberships" legend="Memberships">
        <Check {...props} field="memberships" text="Say in each message which audiences the person is in" />
      </Field>
      <Field {...props} field="method" legend="Method">
        <select
          aria-label="Method"
          value={draft.method}
          onChange={(event) => change({ method: event.currentTarget.value })}
        >
          <option value="">POST, as usual</option>
          {OTHER_METHODS.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </Field>
      <TextField
        {...props}
        field="headers"
        label="Headers"
        rows={2}
        isCode
        placeholder="x-list: 7"
        hint="One a line. No secrets: those belong to an authorization."
      />
      <TextField {...props} field="contentType" label="Content type" placeholder="application/json" />
      <TextField
        {...props}
        field="body"
        label="Body"
        rows={5}
        isCode
        isDisabled={draft.hasNoBody}
        placeholder={'{"email": {{ data.email | json }}}'}
        hint="A template in Liquid; empty: the usual body."
      />
      <Field {...props} field="hasNoBody" legend="No body">
        <Check {...props} field="hasNoBody" text="Send no body at all" />
      </Field>
      <TextField
        {...props}
        field="onEnter"
        label="For enters"
        rows={3}
        isCode
        placeholder='{"method": "PUT"}'
        hint="What is different for enters, as in a job file."
      />
      <TextField
        {...props}
        field="onExit"
        label="For exits"
        rows={3}
        isCode
        placeholder='{"method": "DELETE", "body": ""}'
        hint="What is different for exits, as in a job file."
      />
      <Field {...props} field="envelope" legend="CloudEvents">
        <Check {...props} field="envelope" text="Put each body into a CloudEvent" />
      </Field>
      <TextField
        {...props}
        field="batchSize"
        of="batch"
        label="Batch"
        inputMode="decimal"
        hint="Most triggers in one request; empty: one, and not in a list."
      />
      <TextField
        {...props}
        field="batchAfterMs"
        of="batch"
        isSecond
        label="A batch that is not full goes after (ms)"
        inputMode="decimal"
        placeholder="0"
      />
      <h3>When it is sent</h3>
      <TextField
        {...props}
        field="requestsPerSecond"
        label="Requests a second"
        inputMode="decimal"
        hint="At most; empty: as many as the endpoint takes."
      />
      <TextField
        {...props}
        field="backfillPerSecond"
        label="Existing users a second"
        inputMode="decimal"
        hint="At most; empty: as many as the endpoint takes."
      />
      <TextField
        {...props}
        field="backfillParallelCount"
        label="Requests in flight for existing users"
        inputMode="decimal"
        hint="At most, so that live triggers find free ones; empty: all."
      />
      <TextField
        {...props}
        field="quietHours"
        label="Quiet hours"
        rows={2}
        isCode
        placeholder='{"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}'
      />
      <TextField
        {...props}
        field="quota"
        label="Quota"
        rows={2}
        isCode
        placeholder='{"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}'
      />
      <TextField
        {...props}
        field="endsAt"
        label="Ends"
        placeholder="2030-01-01T00:00:00+01:00"
        hint="When the job stops by itself; empty: never."
      />
      <h3>What answers mean</h3>
      <TextField
        {...props}
        field="answers"
        label="Answers"
        rows={2}
        isCode
        placeholder='{"404": "delivered", "5xx": "retry"}'
        hint="By status or class: delivered, retry, dead-letter or pause; empty: the usual."
      />
      <TextField
        {...props}
        field="retryFor"
        label="Tries for"
        placeholder="28h"
        hint="How long a trigger is tried, such as 30m, 6h or 2d; empty: some 28 hours."
      />
    </details>
  );
}

/** Other than the usual one. */
const OTHER_METHODS: readonly Method[] = ['PUT', 'PATCH', 'DELETE', 'GET'];

const MORE_FIELDS = new Set([
  'events',
  'memberships',
  'method',
  'headers',
  'contentType',
  'body',
  'onEnter',
  'onExit',
  'envelope',
  'batch',
  'requestsPerSecond',
  'backfillPerSecond',
  'backfillParallelCount',
  'quietHours',
  'quota',
  'endsAt',
  'answers',
  'retryFor',
]);

function isMoreSaid(draft: Draft): boolean {
  const { events, memberships, envelope, hasNoBody } = draft;
  const texts = [
    draft.method,
    draft.headers,
    draft.contentType,
    draft.body,
    draft.onEnter,
    draft.onExit,
    draft.batchSize,
  ];
  const others = [draft.requestsPerSecond, draft.backfillPerSecond, draft.backfillParallelCount, draft.quietHours];
  const last = [draft.quota, draft.endsAt, draft.answers, draft.retryFor];
  return (
    events !== 'both' ||
    memberships ||
    envelope ||
    hasNoBody ||
    [...texts, ...others, ...last].some((one) => one !== '')
  );
}

/** What stands below a form that cannot be taken as it is; problems of its fields stand at them. */
export function NotYet(props: {
  readonly what: string;
  readonly problems: readonly Problem[];
  /** Those that stand at no field. */
  readonly others: readonly Problem[];
}): JSX.Element {
  return (
    <div class="notice bad" role="alert">
      <p>
        It cannot be {props.what} yet: {counted(props.problems.length, 'thing')} to correct.
      </p>
      <ProblemList problems={props.others} />
    </div>
  );
}

/** What whoever may only look sees in place of a form. */
export function MayNot({ what }: { readonly what: string }): JSX.Element {
  return (
    <Empty title={`Your key may look, and not ${what} a job`}>
      <p>
        A key that may <code>operate</code> can.
      </p>
    </Empty>
  );
}
