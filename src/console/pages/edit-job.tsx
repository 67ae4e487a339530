import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import type { JobDefinitionInput } from '../../contract/export-job.ts';
import { indentedJson } from '../../words/indented-json.ts';
import { capital } from '../../words/text.ts';
import { counted, printable } from '../../domain/text.ts';
import { ask, pathOf, useFetched, useAction } from '../api.ts';
import { changesOf, draftOf, editedOf, editOf, type FieldChange } from '../form.ts';
import { Clipped, Dialog, Head, Failure, Loading, usePageTitle } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { useSlots } from '../slots.ts';
import { JobForm, MayNot, NotYet } from './job-form.tsx';
import { useForm } from './use-form.ts';

/** The form of an existing job; it shows the changes before it saves them. */
export function EditJobPage({ job = '' }: { readonly job?: string }): JSX.Element {
  usePageTitle(`Edit ${job}`);
  const { mayOperate } = useSession();
  const { value, failure, again } = useFetched<JobDefinitionInput>(pathOf(['jobs', job, 'definition']));
  if (!mayOperate) return <MayNot what="change" />;
  if (value === undefined)
    return failure === undefined ? <Loading what="the job" /> : <Failure failure={failure} retry={again} />;
  return <EditForm job={job} before={value} />;
}

function EditForm({ job, before }: { readonly job: string; readonly before: JobDefinitionInput }): JSX.Element {
  const form = useForm(
    draftOf(before),
    (after) => ({
      path: pathOf(['jobs', job], { validateOnly: true }),
      method: 'PATCH',
      body: editOf(changesOf(before, after)),
    }),
    (typed) => editedOf(before, typed),
  );
  const { jobs } = useSession();
  const { formPanels } = useSlots();
  const { shownFields, checkAll, definition, problems, others, unchecked } = form;
  const [isSaving, setSaving] = useState(false);
  const changes = changesOf(before, definition);
  const home = `/jobs/${encodeURIComponent(job)}`;
  return (
    <>
      <p class="quiet small">
        <a href="/">Jobs</a> / <a href={home}>{printable(job)}</a> / edit
      </p>
      <div class="page-head">
        <h1>
          Edit <bdi>{printable(before.label)}</bdi>
        </h1>
      </div>
      <div class="form-page">
        <form
          class="panel"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            if (changes.length > 0) void checkAll().then((isRight) => setSaving(isRight));
          }}
        >
          <JobForm {...form} isNew={false} />
          {shownFields === 'all' && <NotYet what="saved" {...{ problems, others, unchecked }} />}
          <div class="buttons">
            <button type="submit" class="primary" disabled={changes.length === 0}>
              {changes.length === 0 ? 'No changes' : `Save ${counted(changes.length, 'change')}`}
            </button>
            <a class="button" href={home} onClick={form.forget}>
              Cancel
            </a>
          </div>
        </form>
        {jobs === undefined && formPanels.map((Panel, i) => <Panel key={i} definition={definition} isReady />)}
      </div>
      {isSaving && (
        <SaveDialog {...{ job, before, changes, home, onSaved: form.forget }} onClose={() => setSaving(false)} />
      )}
    </>
  );
}

interface SaveProps {
  readonly job: string;
  /** The definition when the form was opened. */
  readonly before: JobDefinitionInput;
  readonly changes: readonly FieldChange[];
  readonly home: string;
  readonly onSaved: () => void;
  readonly onClose: () => void;
}

function SaveDialog({ job, before, changes, home, onSaved, onClose }: SaveProps): JSX.Element {
  const { route } = useLocation();
  // Somebody else may have changed it since.
  const { value: current, failure: unread } = useFetched<JobDefinitionInput>(pathOf(['jobs', job, 'definition']));
  const others = new Map(
    changesOf(before, current ?? before)
      .filter(({ field }) => changes.some((one) => one.field === field))
      .map(({ field, to }) => [field, to]),
  );
  const { isBusy, failure, run } = useAction();
  const save = async (): Promise<void> => {
    const isDone = await run(() => ask(pathOf(['jobs', job]), { method: 'PATCH', body: editOf(changes) }));
    if (!isDone) return;
    onSaved();
    route(home);
  };
  return (
    <Dialog
      title={`Change ${counted(changes.length, 'field')}`}
      action={others.size > 0 ? 'Save anyway' : 'Save'}
      isWide
      {...{ onClose, isBusy, failure }}
      isDisabled={current === undefined && unread === undefined}
      command={`triggers edit ${job} changes.json`}
      onAction={() => void save()}
    >
      <p>Waiting triggers use the new settings. Requests in flight finish with the old ones.</p>
      {others.size > 0 && (
        <p class="notice caution" role="alert">
          Somebody else has changed {[...others.keys()].map(formName).join(', ')} since you opened the form. Saving
          replaces their change.
        </p>
      )}
      <div class="scroll" tabIndex={0} role="group" aria-label="Changes">
        <table>
          <Head columns={['Field', 'Now', 'Then']} />
          <tbody>
            {changes.map(({ field, from, to }) => (
              <tr key={field}>
                <td>{formName(field)}</td>
                <td class="quiet">
                  <Clipped text={shown(others.has(field) ? others.get(field) : from)} />
                </td>
                <td>
                  <Clipped text={shown(to)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <details>
        <summary class="hint">The same changes as a file, changes.json</summary>
        <pre tabIndex={0}>{indentedJson(JSON.stringify(editOf(changes))).join('\n')}</pre>
      </details>
    </Dialog>
  );
}

/** `parallelRequestCount` in words for people. */
function formName(field: string): string {
  return capital(field.replaceAll(/[A-Z]+/g, ' $&').toLowerCase());
}

function shown(value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
