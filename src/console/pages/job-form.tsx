import type { ComponentChildren, JSX } from 'preact';
import type { AudienceList, AuthorizationListing } from '../../contract/audience.ts';
import type { Problem } from '../../contract/export-job.ts';
import { counted, printable } from '../../domain/shown.ts';
import { type ApiFailure, pathOf } from '../api.ts';
import { useFetched } from '../fetched.ts';
import { hasField, withField } from '../form.ts';
import { Empty, Failure, ProblemList, Clipped } from '../parts.tsx';
import { Audiences, ExistingUsers } from './audience-fields.tsx';
import { useSession } from '../session.tsx';
import { Field, FormInput, type JobFormProps, TextField } from './fields.tsx';
import { More } from './more-fields.tsx';

/** The form in the order of its steps, then what else a job can say. */
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
          This is what you typed before. The webhook URL was not kept.{' '}
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
          <p class="hint">Your key may start these jobs only.</p>
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

/** What stands below a form that cannot be taken as it is; problems of its fields stand at them. */
export function NotYet(props: {
  readonly what: string;
  readonly problems: readonly Problem[];
  /** Those that stand at no field. */
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
          It could not be checked, so nothing was {what}: <Clipped text={unchecked.message} />
        </p>
      )}
    </div>
  );
}

/** What whoever may only look sees in place of a form. */
export function MayNot({ what }: { readonly what: string }): JSX.Element {
  return (
    <Empty title={`Your key may look, and not ${what} a job`} isPage>
      <p>
        A key that may <code>operate</code> can.
      </p>
    </Empty>
  );
}
