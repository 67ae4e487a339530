import type { PersonStanding } from '../../../contract/person-standing.ts';
import type { ComponentChildren, JSX } from 'preact';
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import type { LogGap } from '../../delivery-log/delivery.ts';
import type { TraceEvent } from '../../trace/events.ts';
import { askerInWords } from '../../../words/audit.ts';
import { capital, shellWord } from '../../../words/text.ts';
import { counted, printable, shownCount } from '../../../domain/text.ts';
import { gapsInWords } from '../../delivery-log/gaps-in-words.ts';
import { waitText } from '../../../words/standing.ts';
import { failureInWords } from '../../../domain/verdict.ts';
import { FoundWebhookId, JobLink, Tag, WebhookId } from '../../../console/about.tsx';
import { pathOf, useFetched, useNow } from '../../../console/api.ts';
import { Clipped, Command, Empty, Failure, Loading, State, Time, usePageTitle } from '../../../console/parts.tsx';
import { ago } from '../../../console/words.ts';

/** The page with every job's history of a person, their waiting triggers, and the reasons. */
export function PeoplePage(): JSX.Element {
  usePageTitle('Find a person');
  const { query, route } = useLocation();
  const { user = '', job = '' } = query;
  const [typed, setTyped] = useState(user);
  const [typedJob, setTypedJob] = useState(job);
  const search = (): void => {
    const parameters = { user: typed.trim(), ...(typedJob.trim() === '' ? {} : { job: typedJob.trim() }) };
    route(`/people?${new URLSearchParams(parameters).toString()}`);
  };
  return (
    <>
      <div class="page-head">
        <h1>Find a person</h1>
      </div>
      <form
        class="filters"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          search();
        }}
      >
        <input
          type="search"
          aria-label="Person id"
          placeholder="Person id"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <input
          type="search"
          aria-label="Job id (optional)"
          placeholder="Job id"
          value={typedJob}
          onInput={(event) => setTypedJob(event.currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={typed.trim() === ''}>
          Find
        </button>
      </form>
      <FoundWebhookId text={user} />
      {user === '' ? (
        <Empty title="What was sent about a person?">
          <p>
            Enter the person's id in the source. You see each job's triggers for this person, the requests and answers,
            and anything still waiting.
          </p>
        </Empty>
      ) : (
        <Trace key={`${user}\n${job}`} user={user} job={job} />
      )}
    </>
  );
}

function Trace({ user, job }: { readonly user: string; readonly job: string }): JSX.Element {
  const [histories, setHistories] = useState(false);
  const path = pathOf(['trace'], { user, jobId: job, histories });
  const { value, failure, again } = useFetched<{ from: 'log' | 'histories'; events: TraceEvent[]; gaps?: LogGap[] }>(
    path,
  );
  const pathOfDeliveries = `/deliveries?${new URLSearchParams({ user, ...(job === '' ? {} : { job }) }).toString()}`;
  const byJob = new Map<string, TraceEvent[]>();
  for (const event of value?.events ?? []) byJob.set(event.jobId, [...(byJob.get(event.jobId) ?? []), event]);
  const isKnown = (value?.events ?? []).some((event) => event.kind !== 'stands' || isWaiting(event.standing));
  return (
    <>
      <p>
        <a href={pathOfDeliveries}>Deliveries to this person</a>, with requests and answers
      </p>
      <Failure failure={failure} retry={again} />
      {value === undefined && failure === undefined && <Loading what="what is known of this person" />}
      {value?.from === 'log' && (
        <div class="notice">
          <p>
            From the delivery log. What was signalled, and why something was never tried, is in the job histories; long
            ones take some seconds.
          </p>
          <p>{gapsInWords(value.gaps ?? [])}</p>
          <button type="button" onClick={() => setHistories(true)}>
            Read the histories
          </button>
        </div>
      )}
      {value !== undefined && !isKnown && (
        <Empty title="No triggers found for this person">
          <p>
            {value.from === 'log' ? 'The delivery log has no attempt' : 'No job in Temporal has received a trigger'} for
            “<Clipped text={user} most={100} />
            ”. Enter the whole id as in the source: letter case matters. An e-mail address works only if the source uses
            it as the id.
          </p>
        </Empty>
      )}
      {[...byJob].map(([jobId, events]) => (
        <section key={jobId} class="panel" aria-label={`Job ${jobId}`}>
          <header>
            <h2>
              <JobLink jobId={jobId} />
            </h2>
            <button type="button" class="plain" onClick={again}>
              Look again
            </button>
          </header>
          <ol class="line">
            {events.map((event, i) => (
              <EventLine key={`${event.kind}-${event.at}-${i}`} event={event} />
            ))}
          </ol>
        </section>
      ))}
      {value !== undefined && (
        <>
          <p class="quiet small">The same in a terminal:</p>
          <Command>
            {`triggers trace ${shellWord(user)}${job === '' ? '' : ` --job ${shellWord(job)}`}${histories ? ' --histories' : ''}`}
          </Command>
        </>
      )}
    </>
  );
}

function isWaiting(standing: PersonStanding | undefined): boolean {
  return standing !== undefined && (standing.waitingCount > 0 || standing.pendingDeadLetters > 0 || standing.inPages);
}

interface LineProps {
  readonly at: string;
  readonly tone: 'good' | 'caution' | 'bad' | 'quiet';
  readonly hint?: ComponentChildren;
  readonly children: ComponentChildren;
}

function Line({ at, tone, hint, children }: LineProps): JSX.Element {
  return (
    <li>
      <Time at={at} clock />
      <span class={`dot ${tone}`}>
        <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
          <circle
            cx="6"
            cy="6"
            r="4"
            fill={tone === 'quiet' ? 'none' : 'currentColor'}
            stroke="currentColor"
            stroke-width="1.6"
          />
        </svg>
      </span>
      <div>
        {children}
        {hint !== undefined && <p class="hint">{hint}</p>}
      </div>
    </li>
  );
}

function EventLine({ event }: { readonly event: TraceEvent }): JSX.Element {
  const { at } = event;
  switch (event.kind) {
    case 'received':
      if (event.refused !== undefined)
        return (
          <Line at={at} tone="bad">
            {event.redelivery === undefined ? 'Signalled, and rejected' : 'Not returned from its dead letter'}:{' '}
            <Clipped text={event.refused} />
          </Line>
        );
      return (
        <Line at={at} tone="quiet">
          {event.redelivery === undefined ? 'Signalled' : 'Returned to the job from its dead letter'}: {event.event}{' '}
          <Tag text={event.audience ?? ''} />
          {event.newerAt !== undefined && ', dropped: a newer change had been accepted'}
        </Line>
      );
    case 'found':
      return (
        <Line at={at} tone="quiet">
          Found by backfill {event.backfill}: {event.event ?? 'enter'} <Tag text={event.audience} />
        </Line>
      );
    case 'attempted':
      return <Attempted event={event} />;
    case 'died': {
      const state = LETTER_STATES[event.state] ?? capital(event.state);
      const { notice, decision } = event;
      const why = notice === undefined ? '' : `: ${printable(notice)}`;
      const by = decision === undefined ? '' : ` ${printable(askerInWords(decision))}`;
      return (
        <Line at={at} tone="bad" hint={state + by + why}>
          Became a <a href={`/dead-letters?letter=${encodeURIComponent(event.deadLetterId)}`}>dead letter</a> after{' '}
          {counted(event.attempts, 'attempt')}: <Clipped text={event.failure} />
        </Line>
      );
    }
    case 'discarded':
      return (
        <Line at={at} tone="caution" hint="The job dropped everything that it had not sent by then.">
          Job stopped with “discard”
        </Line>
      );
    case 'stands': {
      const { standing, notice } = event;
      const hint = notice === undefined ? {} : { hint: <Clipped text={notice} /> };
      return (
        <Line at={at} tone={isWaiting(standing) ? 'caution' : 'quiet'} {...hint}>
          {standing === undefined ? 'Current state: unknown.' : <Standing standing={standing} />}
        </Line>
      );
    }
    case 'left-out':
      return (
        <Line at={at} tone="caution">
          Not searched: <Clipped text={event.reason} />
        </Line>
      );
  }
}

/** The states of a dead letter that are shown by other words. */
const LETTER_STATES: Readonly<Record<string, string>> = {
  waiting: 'Waiting for a decision',
  redelivered: 'Returned to its job',
};

function Attempted({ event }: { readonly event: Extract<TraceEvent, { kind: 'attempted' }> }): JSX.Element {
  const { outcome, answer = '', durationMs, attempt, lane } = event;
  const tone = outcome === 'delivered' ? 'good' : outcome === 'failed' ? 'bad' : 'quiet';
  const hint = (
    <>
      {outcome === 'superseded' && `It was ${answer}. `}
      {outcome !== 'superseded' && answer !== '' && (
        <>
          They said: “<Clipped text={answer} />
          ”.{' '}
        </>
      )}
      webhook-id: <WebhookId id={event.deliveryId} />
    </>
  );
  return (
    <Line at={event.at} tone={tone} hint={hint}>
      {event.event} <Tag text={event.audience} /> <State state={outcome} />
      {outcome === 'failed' && failureInWords(event)}
      <span class="quiet">
        {lane === undefined ? '' : ` (${lane})`}
        {attempt === undefined ? '' : ` attempt ${attempt}`}
        {durationMs === undefined ? '' : `, ${shownCount(Math.round(durationMs))} ms`}
      </span>
    </Line>
  );
}

function Standing({ standing }: { readonly standing: PersonStanding }): JSX.Element {
  const now = useNow();
  const { waiting, waitingCount } = standing;
  if (!isWaiting(standing)) return <>No triggers waiting for this person.</>;
  return (
    <>
      {waitingCount > 0 && `${counted(waitingCount, 'trigger')} wait${waitingCount === 1 ? 's' : ''}. `}
      {printable(waitText(standing, (at) => ago(at, now)))}
      <ul>
        {waiting.map(({ event, audience, at }) => (
          <li key={event + audience + at}>
            {event} <Tag text={audience} />{' '}
            <span class="quiet">
              of <Time at={at} clock />
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
