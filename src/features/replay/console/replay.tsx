import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Counts, Typed } from '../../../console/action-inputs.tsx';
import { ask, pathOf, useAction } from '../../../console/api.ts';
import { Dialog, Loading } from '../../../console/parts.tsx';
import { isIdle, type JobAction, type JobActionProps } from '../../../console/slots.ts';
import { gapsInWords } from '../../delivery-log/gaps-in-words.ts';
import { counted, printable } from '../../../domain/text.ts';
import { shellWord } from '../../../words/text.ts';
import type { FoundTold } from '../found-told.ts';

/** Two steps: show how much would be sent again, then send it. */
function ReplayDialog({ status, onDone, onClose }: JobActionProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  const [since, setSince] = useState('');
  const [until, setUntil] = useState('');
  const [user, setUser] = useState('');
  const [onlyLast, setOnlyLast] = useState(false);
  const [found, setFound] = useState<FoundTold>();
  const { jobId, label } = status;
  useEffect(() => setFound(undefined), [since, until, user, onlyLast]);
  const wish = {
    ...(since === '' ? {} : { since: new Date(since).toISOString() }),
    // The same time is meant again, however long a person looks at the counts.
    ...(found !== undefined
      ? { until: found.replay.until }
      : until === ''
        ? {}
        : { until: new Date(until).toISOString() }),
    ...(user.trim() === '' ? {} : { user: user.trim() }),
    ...(onlyLast ? { onlyLast } : {}),
  };
  const send = async (dryRun: boolean): Promise<void> => {
    const isDone = await run(async () => {
      const body = dryRun ? { ...wish, dryRun } : { ...wish, requestId: found?.id };
      setFound((await ask<{ found: FoundTold }>(pathOf(['jobs', jobId, 'replay']), { method: 'POST', body })).found);
    });
    if (!isDone || dryRun) return;
    onDone();
    onClose();
  };
  const options = [
    ` --since ${wish.since ?? 'TIME'}`,
    wish.until === undefined ? '' : ` --until ${wish.until}`,
    wish.user === undefined ? '' : ` --user ${shellWord(wish.user)}`,
    onlyLast ? ' --only last' : '',
  ];
  const isNothing = found !== undefined && found.enters + found.exits === 0;
  return (
    <Dialog
      title={`Send again: “${printable(label)}”`}
      action={
        found === undefined
          ? 'Count'
          : `Send ${counted(found.enters, 'enter')} and ${counted(found.exits, 'exit')} again`
      }
      {...{ onClose, isBusy, failure }}
      isDisabled={since === '' || isNothing}
      command={`triggers replay ${jobId}${options.join('')}`}
      onAction={() => void send(found === undefined)}
    >
      <p>
        The endpoint gets again what the delivery log says that it got in this time: with the same ids, and for each
        person in the same order. What a person was sent after this time is newer, and leaves older triggers out.
      </p>
      <Typed id="since" label="Told since" isTime value={since} onInput={setSince} />
      <Typed id="until" label="And before (optional)" isTime value={until} onInput={setUntil} />
      <Typed id="person" label="Only to this person (optional)" value={user} onInput={setUser} />
      <label class="option">
        <input type="checkbox" checked={onlyLast} onChange={({ currentTarget: { checked } }) => setOnlyLast(checked)} />
        Only what each person was told last
      </label>
      {isBusy && <Loading what="the delivery log" />}
      {found !== undefined && (
        <Counts
          counts={[
            ['Enters to send', found.enters],
            ['Exits to send', found.exits],
            ['People', found.people],
            ['Left out: sent something newer later', found.outdated],
            ['Left out: not of this job any more', found.foreign],
          ]}
        />
      )}
      {found !== undefined && <p role="status">{gapsInWords(found.gaps ?? [])}</p>}
      {isNothing && <p>Nothing to send again.</p>}
    </Dialog>
  );
}

export const replayAction: JobAction = { name: 'Send again', isOffered: isIdle, Dialog: ReplayDialog };
