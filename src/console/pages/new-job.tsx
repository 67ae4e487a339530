import type { JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import type { AudienceList } from '../../contract/audience.ts';
import type { JobDefinitionInput } from '../../contract/export-job.ts';
import { indentedJson } from '../../words/indented-json.ts';
import { counted, printable } from '../../domain/text.ts';
import { ask, pathOf, useFetched, useAction } from '../api.ts';
import { type Draft, draftOf, EMPTY_DRAFT } from '../form.ts';
import { Clipped, Command, Dialog, Failure, Loading, usePageTitle } from '../parts.tsx';
import { useSession } from '../session.tsx';
import { useSlots } from '../slots.ts';
import { JobForm, MayNot, membersOf, NotYet } from './job-form.tsx';
import { type FormRequest, useForm } from './use-form.ts';

/** The form, empty or filled in as another job was. */
export function NewJobPage(): JSX.Element {
  usePageTitle('New job');
  const { mayOperate, jobs } = useSession();
  const { from } = useLocation().query;
  const path = from === undefined ? undefined : pathOf(['jobs', from, 'definition']);
  const { value, failure, again } = useFetched<JobDefinitionInput>(mayOperate ? path : undefined);
  if (!mayOperate) return <MayNot what="start" />;
  if (from === undefined) return <NewJob before={{ ...EMPTY_DRAFT, id: jobs?.[0] ?? '' }} />;
  if (value !== undefined) return <NewJob key={from} before={{ ...draftOf(value), id: from }} />;
  return failure === undefined ? <Loading what="the job" /> : <Failure failure={failure} retry={again} />;
}

/** The form with its message beside it. */
function NewJob({ before }: { readonly before: Draft }): JSX.Element {
  const { jobs } = useSession();
  const { formPanels } = useSlots();
  const form = useForm(before, aboutStart);
  const { draft, shownFields, checkAll, definition, problems, others, unchecked } = form;
  const [isStarting, setStarting] = useState(false);
  return (
    <>
      <p class="quiet small">
        <a href="/">Jobs</a> / new
      </p>
      <div class="page-head">
        <h1>New export job</h1>
      </div>
      <div class="form-page">
        <form
          class="panel"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void checkAll().then((isRight) => setStarting(isRight));
          }}
        >
          <JobForm {...form} isNew />
          {shownFields === 'all' && <NotYet what="started" {...{ problems, others, unchecked }} />}
          <button type="submit" class="primary">
            Start Export
          </button>
          <details class="job-file">
            <summary class="hint">The same as a job file</summary>
            <pre tabIndex={0}>{indentedJson(JSON.stringify(definition)).join('\n')}</pre>
            <Command>{`triggers start job.json${draft.id.trim() === '' ? '' : ` --id ${draft.id.trim()}`}`}</Command>
          </details>
        </form>
        {/* A key for some jobs may make no samples of others. */}
        {jobs === undefined &&
          formPanels.map((Panel, i) => (
            <Panel
              key={i}
              definition={definition}
              isReady={draft.audiences.length > 0 && draft.webhookUrl.trim() !== ''}
            />
          ))}
      </div>
      {isStarting && (
        <StartDialog
          {...{ definition, id: draft.id.trim(), onStarted: form.forget }}
          onClose={() => setStarting(false)}
        />
      )}
    </>
  );
}

/** The request that checks whether such a job could be started. */
function aboutStart(definition: JobDefinitionInput, { id }: Draft): FormRequest {
  return { path: pathOf(['jobs'], { validateOnly: true, id: id.trim() }), method: 'POST', body: definition };
}

interface StartProps {
  readonly definition: JobDefinitionInput;
  readonly id: string;
  readonly onStarted: () => void;
  readonly onClose: () => void;
}

interface Started {
  readonly jobId: string;
  readonly warnings: readonly string[];
}

/** The warnings about a job that was just started. */
function StartedDialog({ warnings, onClose }: Started & { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog key="started" title="Job started" onClose={onClose}>
      {warnings.map((warning) => (
        <p key={warning} class="caution">
          <Clipped text={warning} />
        </p>
      ))}
    </Dialog>
  );
}

/** Says how many people will be sent what, then starts it. */
function StartDialog({ definition, id, onStarted, onClose }: StartProps): JSX.Element {
  const { route } = useLocation();
  const { isBusy, failure, run } = useAction();
  const { value: list } = useFetched<AudienceList>(pathOf(['audiences']));
  const { audiences, existingUsers = false, parallelRequestCount = 5, label, webhookUrl } = definition;
  const members = membersOf(list, audiences);
  const isGivenUp = failure?.code === 'JobRecoverable';
  const [started, setStarted] = useState<Started>();
  const show = ({ jobId }: Started): void => route(`/jobs/${encodeURIComponent(jobId)}`);
  const start = async (): Promise<void> => {
    const path = pathOf(['jobs'], { id, discardRecoverable: isGivenUp });
    await run(async () => {
      const answer = await ask<Started>(path, { method: 'POST', body: definition });
      onStarted();
      if (answer.warnings.length === 0) show(answer);
      else setStarted(answer);
    });
  };
  if (started !== undefined) return <StartedDialog {...started} onClose={() => show(started)} />;
  const names = audiences.map((one) => list?.audiences.find(({ id, slug }) => slug === one || id === one)?.name ?? one);
  return (
    <Dialog
      title={`Start “${printable(label)}”`}
      action={
        isGivenUp
          ? 'Start, and lose them'
          : existingUsers
            ? `Send ${members === undefined ? 'everybody' : counted(members, 'user')}, and start`
            : 'Start Export'
      }
      {...{ onClose, isBusy, failure }}
      isDisabled={failure?.code === 'JobKept'}
      isDangerous={isGivenUp}
      onAction={() => void start()}
    >
      {existingUsers ? (
        <p>
          First, an <code>enter</code> is sent for each of{' '}
          <b>{members === undefined ? 'the people' : counted(members, 'user')}</b> in {printable(names.join(', '))} now,
          at most {counted(parallelRequestCount, 'request')} at a time.
        </p>
      ) : (
        <p>Existing members are not sent.</p>
      )}
      <p>
        From now on {definition.events?.length === 1 ? `each ${definition.events[0]}` : 'each enter and exit'} of{' '}
        {printable(names.join(', '))} is sent as it happens.
      </p>
      <p>
        It sends to{' '}
        <b>
          <Clipped text={webhookUrl.trim()} most={200} />
        </b>
      </p>
    </Dialog>
  );
}
