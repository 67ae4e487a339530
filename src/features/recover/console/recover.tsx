import type { JSX } from 'preact';
import { ask, pathOf } from '../../../console/api.ts';
import { ActionDialog } from '../../../console/parts.tsx';
import type { JobAction, JobActionProps } from '../../../console/slots.ts';
import { printable } from '../../../domain/text.ts';

function RecoverDialog({ status: { jobId, label }, onDone, onClose }: JobActionProps): JSX.Element {
  return (
    <ActionDialog
      title={`Recover “${printable(label)}”`}
      action="Recover"
      command={`triggers recover ${jobId}`}
      isOnlyAsking
      run={() => ask(pathOf(['jobs', jobId, 'recover']), { method: 'POST', body: {} })}
      {...{ onDone, onClose }}
    >
      <p>The job restarts with the triggers that were undelivered when it was ended from outside.</p>
    </ActionDialog>
  );
}

export const recoverAction: JobAction = {
  name: 'Recover',
  isOffered: ({ recoverableUntil }) => recoverableUntil !== undefined,
  Dialog: RecoverDialog,
};
