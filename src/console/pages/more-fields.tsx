import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Method } from '../../contract/request-shape.ts';
import { type Draft, EMPTY_DRAFT } from '../form.ts';
import { Check, Field, type JobFormProps, TextField } from './fields.tsx';

export function More(props: JobFormProps): JSX.Element {
  const { draft, change } = props;
  const [isOpen, setOpen] = useState(false);
  const isNeeded = isMoreSaid(draft);
  // It opens by itself, and never closes: somebody may be in the field that they just emptied.
  useEffect(() => {
    if (isNeeded) setOpen(true);
  }, [isNeeded]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>More</summary>
      <h3>What is sent</h3>
      <Field {...props} field="events" legend="Events" isChoice>
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
      <Field {...props} field="stale" legend="Late changes">
        <Check {...props} field="stale" text="Drop a change that is older than the last one of that person" />
      </Field>
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

/** These stand above it. */
const ABOVE = new Set(['id', 'label', 'description', 'audiences', 'webhookUrl', 'authorization', 'exportFields'])
  .add('existingUsers')
  .add('userLegacyMessageFormat')
  .add('parallelRequestCount');

function isMoreSaid(draft: Draft): boolean {
  const usual = Object.entries(EMPTY_DRAFT);
  return usual.some(([field, value]) => !ABOVE.has(field) && Reflect.get(draft, field) !== value);
}
