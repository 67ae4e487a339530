import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Counts, Typed } from '../../../console/action-inputs.tsx';
import { ask, pathOf, useAction } from '../../../console/api.ts';
import { Dialog, Loading } from '../../../console/parts.tsx';
import { isIdle, type JobAction, type JobActionProps } from '../../../console/slots.ts';
import { counted, printable } from '../../../domain/text.ts';
import { shellWord } from '../../../words/text.ts';
import type { Difference } from '../difference.ts';

interface Compared {
  readonly difference: Difference;
}

/** A list with an id a line, in the API's format. */
function ndjsonOf(lines: string): string {
  const ids = lines.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  return ids.map((id) => JSON.stringify(id)).join('\n');
}

/** Two steps: show how many triggers the list would send, then send them. The list goes to the API each time, and nowhere else. */
function ReconcileDialog({ status, onDone, onClose }: JobActionProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  const [file, setFile] = useState<File>();
  const [audience, setAudience] = useState(status.audiences[0]?.slug ?? '');
  const [typedColumn, setColumn] = useState('');
  const [found, setFound] = useState<Difference>();
  const { jobId, label, audiences } = status;
  useEffect(() => setFound(undefined), [file, audience, typedColumn]);
  const ending = /\.(csv|txt|xlsx?)$/i.exec(file?.name ?? '')?.[1]?.toLowerCase() ?? '';
  const isExcel = ending.startsWith('xls');
  const column = typedColumn.trim();
  const isDoubtful = failure?.code === 'DifferenceDoubtful';
  const send = async (dryRun: boolean): Promise<void> => {
    if (file === undefined) return;
    const type = ending === 'csv' ? 'text/csv' : 'application/x-ndjson';
    const content = ending === 'txt' ? new Blob([ndjsonOf(await file.text())]) : file;
    const path = pathOf(['jobs', jobId, 'reconcile'], { audience, column, dryRun, force: !dryRun && isDoubtful });
    const isDone = await run(async () => {
      const { difference } = await ask<Compared>(path, { method: 'POST', file: { type, content } });
      setFound(difference);
    });
    if (!isDone || dryRun) return;
    onDone();
    onClose();
  };
  const options = [
    column === '' ? '' : ` --column ${shellWord(column)}`,
    audiences.length > 1 ? ` --audience ${shellWord(audience)}` : '',
  ];
  const isNothing = found !== undefined && found.enters + found.exits === 0;
  return (
    <Dialog
      title={`Reconcile “${printable(label)}”`}
      action={
        found === undefined
          ? 'Compare'
          : isDoubtful
            ? 'Send anyway'
            : `Send ${counted(found.enters, 'enter')} and ${counted(found.exits, 'exit')}`
      }
      isDangerous={isDoubtful}
      {...{ onClose, isBusy, failure }}
      isDisabled={file === undefined || isExcel || isNothing}
      command={`triggers reconcile ${jobId} --they-have ${shellWord(file?.name ?? 'FILE')}${options.join('')}`}
      onAction={() => void send(found === undefined)}
    >
      <p>
        Upload the endpoint's own list of people to compare it with the current members. You can then send the
        difference: enters for members missing from the list, exits for people on it who are not members.
      </p>
      {audiences.length > 1 && (
        <div class="field">
          <label for="of">Audience</label>
          <select id="of" value={audience} onChange={(event) => setAudience(event.currentTarget.value)}>
            {audiences.map(({ slug }) => (
              <option key={slug} value={slug}>
                {printable(slug)}
              </option>
            ))}
          </select>
        </div>
      )}
      <div class="field">
        <label for="list">The list</label>
        <input
          id="list"
          type="file"
          accept=".csv,.ndjson,.jsonl,.txt"
          onChange={(event) => setFile(event.currentTarget.files?.[0])}
        />
        <p class={isExcel ? 'problem' : 'hint'}>
          {isExcel
            ? 'This is an Excel file. Save it as CSV first, with commas between the columns.'
            : 'CSV with a header row; a text file with one id per line; or NDJSON with one id, or one object with an id, per line.'}
        </p>
      </div>
      <Typed
        id="column"
        label="Column or JSON key of the ids (optional)"
        value={typedColumn}
        onInput={setColumn}
        hint="Default: user or id."
      />
      {isBusy && <Loading what="the list and the members" />}
      {found !== undefined && (
        <Counts
          counts={[
            ['On the list', found.theirs],
            ['Members now', found.members],
            ['In both', found.both],
            ['Enters to send', found.enters],
            ['Exits to send', found.exits],
          ]}
        />
      )}
      {isNothing && <p>Both have the same people. Nothing to send.</p>}
    </Dialog>
  );
}

export const reconcileAction: JobAction = { name: 'Reconcile', isOffered: isIdle, Dialog: ReconcileDialog };
