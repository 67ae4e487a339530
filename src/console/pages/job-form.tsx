import { type ComponentChildren, Fragment, type JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { AudienceList, AuthorizationListing } from '../../contract/audience.ts';
import type { Problem } from '../../contract/export-job.ts';
import { counted, printable, shownCount } from '../../domain/text.ts';
import { hasWords } from '../../words/text.ts';
import { type ApiFailure, pathOf, useFetched } from '../api.ts';
import { definitionOf, type Draft, fieldOf, hasField, withField } from '../form.ts';
import { Clipped, Empty, Failure, ProblemList } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { Check, Field, FormInput, type JobFormProps, TextField } from './fields.tsx';
import { FORM_FIELDS } from '../../domain/form.ts';
import { FORM, FORM_SECTIONS } from '../../words/form.ts';

/** The form in the order of its steps, followed by the further fields. */
export function JobForm(props: JobFormProps): JSX.Element {
  const { draft, isNew } = props;
  const { jobs } = useSession();
  const { value: audiences, failure, again } = useFetched<AudienceList>(pathOf(['audiences']));
  const { value: known } = useFetched<{ authorizations: AuthorizationListing[] }>(pathOf(['authorizations']));
  const firstAudience = draft.audiences[0];
  return (
    <>
      {props.isRestored && (
        <p class="notice" role="status">
          Your draft was restored, except for the webhook URL.{' '}
          <button type="button" class="plain" onClick={props.forget}>
            Start over
          </button>
        </p>
      )}
      <dl class="rows field">
        <dt>Provider</dt>
        <dd>Webhooks</dd>
        <dt>Job type</dt>
        <dd>Audience Triggers</dd>
      </dl>
      <Failure failure={failure} retry={again} />
      <Authorization {...props} authorizations={known?.authorizations} />
      <FormInput {...props} field="label" />
      {isNew && jobs !== undefined && (
        <Field {...props} field="id" legend="Id">
          <select
            aria-label="Id"
            value={draft.id}
            onChange={(event) => props.change({ id: event.currentTarget.value })}
          >
            {jobs.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
          <p class="hint">Your key may start only these jobs.</p>
        </Field>
      )}
      {isNew && jobs === undefined && (
        <TextField
          {...props}
          input="id"
          label="Id (optional)"
          hint="Used in commands and URLs. Leave empty to derive it from the label."
        />
      )}
      <FormInput {...props} field="description" label="Description (optional)" />
      <Audiences {...props} list={audiences} />
      <FormInput {...props} field="webhookUrl" />
      <ExportFields {...props} audience={firstAudience} />
      {isNew && <ExistingUsers {...props} list={audiences} />}
      <FormInput {...props} field="userLegacyMessageFormat" label="User Legacy Message Format (optional)" />
      <FormInput {...props} field="parallelRequestCount" label="Parallel Request Count (optional)" />
      <More {...props} />
    </>
  );
}

const NONE = 'Webhook endpoint does not require authorization';

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
    <Field {...props} field="authorization" legend="Authorization" isChoice>
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

function ExportFields(props: JobFormProps & { readonly audience: string | undefined }): JSX.Element {
  const { draft, change, audience } = props;
  const path = audience === undefined ? undefined : pathOf(['audiences', audience, 'fields']);
  const { value } = useFetched<{ fields: string[] }>(path);
  return (
    <Field {...props} field="exportFields" legend="Export Fields (optional)">
      <p class="hint">Select none to send all fields of the user.</p>
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
        <summary class="hint">Other fields, or other names</summary>
        <textarea
          class="code"
          rows={3}
          aria-label="Export fields, one per line"
          placeholder={'email\nfirst_name as vorname\n"a name as is" as name'}
          spellcheck={false}
          value={draft.exportFields}
          onInput={(event) => change({ exportFields: event.currentTarget.value })}
        />
      </details>
    </Field>
  );
}

/** The notice below a form that is not yet valid; problems of its fields are shown beside them. */
export function NotYet(props: {
  readonly what: string;
  readonly problems: readonly Problem[];
  /** The problems of no field. */
  readonly others: readonly Problem[];
  readonly unchecked: ApiFailure | undefined;
}): JSX.Element | null {
  const { what, problems, others, unchecked } = props;
  if (problems.length === 0 && unchecked === undefined) return null;
  return (
    <div class="notice bad" role="alert">
      {problems.length > 0 && (
        <p>
          It cannot be {what} yet: {counted(problems.length, 'thing')} to correct.
        </p>
      )}
      <ProblemList problems={others} />
      {unchecked !== undefined && (
        <p>
          The check failed, so nothing was {what}: <Clipped text={unchecked.message} />
        </p>
      )}
    </div>
  );
}

/** Replaces the form for people who may only view jobs. */
export function MayNot({ what }: { readonly what: string }): JSX.Element {
  return (
    <Empty title={`Your key can view jobs, but cannot ${what} one`} isPage>
      <p>
        A key that may <code>operate</code> can.
      </p>
    </Empty>
  );
}

function More(props: JobFormProps): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const isNeeded = hasMoreValues(props.draft);
  // It opens by itself, and never closes: the person may be in the field that they just emptied.
  useEffect(() => {
    if (isNeeded) setOpen(true);
  }, [isNeeded]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>More</summary>
      {Object.entries(FORM_SECTIONS).map(([section, title]) => (
        <Fragment key={section}>
          <h2>{title}</h2>
          {MORE_FIELDS.filter((field) => FORM[field].section === section).map((field) => (
            <FormInput {...props} key={field} field={field} />
          ))}
        </Fragment>
      ))}
    </details>
  );
}

const MORE_FIELDS = FORM_FIELDS.filter((field) => FORM[field].section !== undefined);

/** Whether any of those fields has a value, even an unreadable one. */
function hasMoreValues(draft: Draft): boolean {
  const { definition, problems } = definitionOf(draft);
  return MORE_FIELDS.some((field) => definition[field] !== undefined || problems.some((one) => fieldOf(one) === field));
}

/** From this many audiences on there is a search. */
const SEARCHED_FROM = 8;
const MOST_SHOWN = 100;

function Audiences(props: JobFormProps & { readonly list: AudienceList | undefined }): JSX.Element {
  const { draft, change, list } = props;
  const [search, setSearch] = useState('');
  const all = list?.audiences ?? [];
  const found = all.filter(({ slug, name }) => hasWords(`${slug}\n${name}`, search));
  const isChosen = ({ id, slug }: { id: string; slug: string }): boolean =>
    draft.audiences.includes(slug) || draft.audiences.includes(id);
  const choose = (names: readonly string[], name: string, isWanted: boolean): void => {
    const rest = draft.audiences.filter((one) => !names.includes(one));
    change({ audiences: isWanted ? [...rest, name] : rest });
  };
  const narrow = all.filter((one) => isChosen(one) && (one.windowMinutes ?? Infinity) < 30);
  const isSearched = all.length >= SEARCHED_FROM;
  // If the list is incomplete, the person may know a name that is missing.
  const isPart = list !== undefined && all.length < list.total;
  const typed = search.trim();
  return (
    <Field {...props} field="audiences" legend="Audiences">
      <Chosen {...{ draft, all, isSearched, choose }} />
      {isSearched && (
        <input
          type="search"
          aria-label="Search audiences"
          placeholder={`Search ${shownCount(all.length)} audiences`}
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
          // It searches as the person types; Enter would start the export.
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.preventDefault();
          }}
        />
      )}
      <div class="options">
        {list === undefined && <span class="quiet">Reading audiences …</span>}
        {list !== undefined && all.length === 0 && <span class="quiet">The source has no audiences.</span>}
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
        {typed !== '' && found.length === 0 && <span class="quiet">No matching audience.</span>}
        {isPart && typed !== '' && found.length < MOST_SHOWN && !draft.audiences.includes(typed) && (
          <button type="button" class="plain" onClick={() => choose([], typed, true)}>
            Use “{printable(typed)}” as it is typed
          </button>
        )}
      </div>
      {isPart && (
        <p class="hint">
          These are {shownCount(all.length)} of {shownCount(list.total)}. Type the slug or id of another one above.
        </p>
      )}
      {narrow.length > 0 && (
        <p class="hint caution">
          {narrow.map(({ slug }) => printable(slug)).join(', ')}: its time window is shorter than 30 minutes and may be
          unreliable.
        </p>
      )}
    </Field>
  );
}

interface ChosenProps {
  readonly draft: Draft;
  readonly all: AudienceList['audiences'];
  readonly isSearched: boolean;
  readonly choose: (names: readonly string[], name: string, isWanted: boolean) => void;
}

/** Chosen audiences stay visible during a search. They include those that the source does not list: by id, or by a slug that it no longer has. */
function Chosen({ draft, all, isSearched, choose }: ChosenProps): JSX.Element | null {
  const listed = new Map(all.flatMap((one) => [[one.id, one] as const, [one.slug, one] as const]));
  const shown = draft.audiences.filter((one) => isSearched || !listed.has(one));
  if (shown.length === 0) return null;
  return (
    <p class="chosen">
      {shown.map((one) => (
        <span key={one} class="tag">
          <bdi>{printable(listed.get(one)?.name ?? one)}</bdi>{' '}
          <button type="button" class="plain" aria-label={`Without ${one}`} onClick={() => choose([one], one, false)}>
            ×
          </button>
        </span>
      ))}
    </p>
  );
}

/** How many members the chosen audiences have, as far as the source knows. */
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
      <Check {...props} input="existingUsers" text={`First send ${who}, as entered`} />
    </Field>
  );
}
