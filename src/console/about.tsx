import type { JSX } from 'preact';
import { printable, shownCount } from '../domain/text.ts';
import { definedOf } from '../domain/json.ts';
import { failureInWords } from '../domain/verdict.ts';
import { Clipped, State, Time } from './parts.tsx';

// Parts that several pages show of a trigger.

interface Who {
  readonly user: string;
  readonly event: string;
  /** Slug */
  readonly audience: string;
}

export function Tag({ text }: { readonly text: string }): JSX.Element {
  return <bdi class="tag">{printable(text.slice(0, 60))}</bdi>;
}

function PersonLink({ user, most }: { readonly user: string; readonly most?: number }): JSX.Element {
  return (
    <a href={`/people?user=${encodeURIComponent(user)}`}>
      <Clipped text={user} {...(most === undefined ? {} : { most })} />
    </a>
  );
}

export function JobLink({ jobId }: { readonly jobId: string }): JSX.Element {
  return <a href={`/jobs/${encodeURIComponent(jobId)}`}>{printable(jobId)}</a>;
}

/** The form of a new job, filled in as this one was. */
export function startAgain(jobId: string): string {
  return `/new?from=${encodeURIComponent(jobId)}`;
}

/** Two cells of a table. */
export function WhoCells({ user, event, audience }: Who): JSX.Element {
  return (
    <>
      <td data-name="Person">
        <PersonLink user={user} most={40} />
      </td>
      <td data-name="Event">
        {printable(event)} <Tag text={audience} />
      </td>
    </>
  );
}

interface AttemptCellsProps extends Who {
  readonly at: string | undefined;
  /** Its outcome, and the tone of that unless it is the usual one. */
  readonly state: string;
  readonly tone?: string;
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  readonly durationMs?: number | undefined;
  readonly answer?: string | undefined;
}

/** Five cells of a table: when, the outcome, the person, the event, and the answer. */
export function AttemptCells(props: AttemptCellsProps): JSX.Element {
  const { at, state, tone, status, code, durationMs, answer = '', ...who } = props;
  return (
    <>
      <td data-name="At">{at !== undefined && <Time at={at} clock />}</td>
      <td data-name="Outcome">
        <State {...{ state, tone }} />
      </td>
      <WhoCells {...who} />
      <td data-name="Answer">
        {(status !== undefined || code !== undefined) && failureInWords(definedOf({ status, code }))}
        {durationMs !== undefined && <span class="quiet"> {shownCount(durationMs)} ms</span>}{' '}
        <span class="quiet">
          <Clipped text={answer} most={100} />
        </span>
      </td>
    </>
  );
}

interface TriggerRowsProps extends Who {
  /** The `at` of the trigger. */
  readonly at: string;
  readonly jobId: string;
  readonly deliveryId: string;
}

/** Rows of a description list. */
export function TriggerRows({ user, event, audience, at, jobId, deliveryId }: TriggerRowsProps): JSX.Element {
  return (
    <>
      <dt>Person</dt>
      <dd>
        <PersonLink user={user} />
      </dd>
      <dt>Event</dt>
      <dd>
        {printable(event)} <Tag text={audience} />{' '}
        <span class="quiet">
          <Time at={at} clock />
        </span>
      </dd>
      <dt>Job</dt>
      <dd>
        <JobLink jobId={jobId} />
      </dd>
      <dt>webhook-id</dt>
      <dd>
        <WebhookId id={deliveryId} />
      </dd>
    </>
  );
}

/** A `webhook-id`, with a link to its attempts. */
export function WebhookId({ id }: { readonly id: string }): JSX.Element {
  return (
    <a class="id" href={`/deliveries?id=${encodeURIComponent(id)}`}>
      {printable(id)}
    </a>
  );
}

/** A text that looks like a `webhook-id`, or like its beginning. */
export const WEBHOOK_ID = /^[0-9a-f]{8,32}$/i;

/** Offers the deliveries with a `webhook-id`, if a text that somebody searches for looks like one, or like its beginning. */
export function FoundWebhookId({ text }: { readonly text: string }): JSX.Element | null {
  if (!WEBHOOK_ID.test(text)) return null;
  return (
    <p>
      Deliveries by webhook-id: <WebhookId id={text.toLowerCase()} />
    </p>
  );
}
