import type { JSX } from 'preact';
import { factsInWords, type Finding, type Health, type HealthState } from '../findings.ts';
import { capital } from '../../../words/text.ts';
import { counted, printable } from '../../../domain/text.ts';
import type { Tone } from '../../../words/status-rows.ts';
import { pathOf, useFetched } from '../../../console/api.ts';
import { Clipped, Head, State, Unanswered, usePageTitle } from '../../../console/parts.tsx';
import { useSession } from '../../../console/session.tsx';

const TONES: Readonly<Record<HealthState, Tone>> = {
  failed: 'bad',
  warning: 'caution',
  unknown: 'caution',
  ok: 'good',
};

/** The same as `triggers doctor`. It is asked once: each answer takes a question to every worker. */
export function HealthPage(): JSX.Element {
  usePageTitle('Health');
  const { jobs } = useSession();
  const health = useFetched<Health>(pathOf(['health']));
  const { value, again } = health;
  const dead = useFetched<{ failures: { letters: number }[] }>(
    jobs === undefined ? pathOf(['dead-letters', 'failures']) : undefined,
  ).value?.failures.reduce((sum, { letters }) => sum + letters, 0);
  return (
    <>
      <div class="page-head">
        <h1>Health</h1>
        {value !== undefined && (
          <button type="button" onClick={again}>
            Check again
          </button>
        )}
      </div>
      <Unanswered fetched={health} what="the state of everything" />
      {value !== undefined && (
        <section class="panel" aria-labelledby="findings">
          <header>
            <h2 id="findings">
              {value.state !== 'ok' ? 'Findings, the worst first' : dead ? 'Nothing is broken' : 'All is well'}
            </h2>
            {dead !== undefined && dead > 0 && (
              <a href="/dead-letters">
                {counted(dead, 'dead letter')} {dead === 1 ? 'waits' : 'wait'} for a decision
              </a>
            )}
            {jobs !== undefined && <span class="quiet small">about your jobs</span>}
          </header>
          <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="findings">
            <table class="cards">
              <Head columns={['State', 'Check', 'About', 'Found', 'What to do']} />
              <tbody>
                {value.findings.map((one, i) => (
                  <Row key={i} finding={one} />
                ))}
              </tbody>
            </table>
          </div>
        </section>
      )}
    </>
  );
}

function Row({ finding }: { readonly finding: Finding }): JSX.Element {
  const { state, check, job, worker, taskQueue, problem, facts, remedy } = finding;
  const about = <bdi>{printable(job ?? worker ?? taskQueue ?? '')}</bdi>;
  return (
    <tr>
      <td data-name="State">
        <State state={state} tone={TONES[state]} />
      </td>
      <td data-name="Check">{check}</td>
      <td data-name="About">{job === undefined ? about : <a href={`/jobs/${encodeURIComponent(job)}`}>{about}</a>}</td>
      <td data-name="Found">
        <Clipped text={problem ?? ''} />{' '}
        <span class="quiet">
          <Clipped text={factsInWords(facts)} />
        </span>
      </td>
      <td data-name="What to do">{remedy !== undefined && <WhatToDo remedy={remedy} job={job} />}</td>
    </tr>
  );
}

/** A remedy that ends with a command of ours; the page has a place for what the command does. */
const COMMAND = /^(.*): triggers (recover|resume|status|dead-letters|watch)\b/;

function WhatToDo({ remedy, job }: { readonly remedy: string; readonly job: string | undefined }): JSX.Element {
  const [, lead, command = ''] = COMMAND.exec(remedy) ?? [];
  if (lead === undefined) return <Clipped text={remedy} />;
  if (command === 'watch') return link(lead, '/inputs', 'the page “Inputs”');
  if (command === 'dead-letters')
    return link(lead, `/dead-letters${job === undefined ? '' : `?job=${encodeURIComponent(job)}`}`, 'the dead letters');
  if (job === undefined) return <Clipped text={remedy} />;
  const button = command === 'status' ? '' : `“${capital(command)}” on `;
  return link(lead, `/jobs/${encodeURIComponent(job)}`, `${button}the page of the job`);
}

function link(lead: string, href: string, place: string): JSX.Element {
  return (
    <>
      {lead}: <a href={href}>{place}</a>
    </>
  );
}
