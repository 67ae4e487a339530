import type { JSX } from 'preact';
import { usePageTitle } from '../parts.tsx';
import { useSlots } from '../slots.ts';

/** The sources of changes: watches and senders. */
export function InputsPage(): JSX.Element {
  usePageTitle('Inputs');
  const { inputPanels } = useSlots();
  return (
    <>
      <div class="page-head">
        <h1>Inputs</h1>
      </div>
      {inputPanels.map((Panel, i) => (
        <Panel key={i} />
      ))}
      <section class="panel" aria-labelledby="consumers">
        <header>
          <h2 id="consumers">Consumers and programs</h2>
        </header>
        <p>
          Consumers of Kafka or an outbox run as separate processes, with their own logs and metrics. Programs send
          triggers to <code>POST /v1/triggers</code>: <a href="/docs">the HTTP API</a>.
        </p>
      </section>
    </>
  );
}
