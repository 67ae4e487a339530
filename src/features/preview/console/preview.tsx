import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { JobDefinitionInput } from '../../../contract/export-job.ts';
import type { Sample, SentSample } from '../sample.ts';
import { printable, shownCount } from '../../../domain/text.ts';
import { shellWord } from '../../../words/text.ts';
import { meaningOf } from '../meaning.ts';
import { failureInWords } from '../../../domain/verdict.ts';
import { type ApiFailure, ask, pathOf, asFailure, useAction, useSettled } from '../../../console/api.ts';
import { Choice, Dialog, Failure, Clipped, State } from '../../../console/parts.tsx';
import { Request } from '../../../console/message.tsx';

interface PreviewProps {
  readonly definition: JobDefinitionInput;
  /** Whether it is complete enough for a message: it has an audience and a URL. */
  readonly isReady: boolean;
}

/** The request about a real member, as it would be sent, and a way to send it once. */
export function Preview({ definition, isReady }: PreviewProps): JSX.Element {
  const [event, setEvent] = useState<'enter' | 'exit'>('enter');
  const [user, setUser] = useState('');
  const wish = useSettled(JSON.stringify({ definition, event, ...(user.trim() === '' ? {} : { user: user.trim() }) }));
  const { sample, failure, of } = useSample(isReady ? wish : undefined);
  const [isTesting, setTesting] = useState(false);
  const whom = user.trim() === '' ? '' : ` --user ${shellWord(user.trim())}`;
  const command = `triggers test job.json --event ${event}${whom}`;
  return (
    <section class="panel beside" aria-labelledby="preview">
      <header>
        <h2 id="preview">The message</h2>
        <Choice label="About" of={['enter', 'exit']} chosen={event} choose={setEvent} />
      </header>
      {!isReady ? (
        <p class="quiet">Choose an audience and a webhook URL to preview the message for a real member.</p>
      ) : (
        <>
          <div class="field">
            <label for="preview-user">About</label>
            <input
              id="preview-user"
              placeholder={sample === undefined ? 'the first member' : printable(sample.user)}
              value={user}
              autocomplete="off"
              spellcheck={false}
              onInput={(typed) => setUser(typed.currentTarget.value)}
            />
          </div>
          {failure?.code === 'InvalidJob' ? (
            <p class="quiet">Fix the fields marked in red to see the message.</p>
          ) : (
            <Failure failure={failure} />
          )}
          {sample !== undefined && (
            <>
              <Request request={sample.request} />
              {sample.others !== undefined && (
                <p class="hint">With {shownCount(sample.others.length)} others in the same request.</p>
              )}
              {sample.warnings?.map((warning) => (
                <p key={warning} class="hint caution">
                  {warning}
                </p>
              ))}
              <button type="button" onClick={() => setTesting(true)}>
                Send test
              </button>
            </>
          )}
        </>
      )}
      {isTesting && (
        <TestDialog {...{ wish, command }} about={sample} isCurrent={of === wish} onClose={() => setTesting(false)} />
      )}
    </section>
  );
}

interface Made {
  readonly sample?: Sample;
  readonly failure?: ApiFailure;
  /** The request for it. */
  readonly of?: string;
}

/** The worker's sample for a request, once it is readable; the last one stays until the next one arrives. */
function useSample(wish: string | undefined): Made {
  const [made, setMade] = useState<Made>({});
  useEffect(() => {
    if (wish === undefined) return undefined;
    const ending = new AbortController();
    const { signal } = ending;
    ask<Sample>(pathOf(['render']), { method: 'POST', body: JSON.parse(wish), signal }).then(
      (sample) => setMade({ sample, of: wish }),
      (error: unknown) => {
        if (!signal.aborted) setMade({ failure: asFailure(error), of: wish });
      },
    );
    return () => ending.abort();
  }, [wish]);
  return wish === undefined ? {} : made;
}

interface TestProps {
  readonly wish: string;
  readonly command: string;
  readonly about: Sample | undefined;
  /** Whether it shows the message that would be sent now, not one of earlier input. */
  readonly isCurrent: boolean;
  readonly onClose: () => void;
}

function TestDialog({ wish, command, about, isCurrent, onClose }: TestProps): JSX.Element {
  const { isBusy, failure, run } = useAction();
  const [sent, setSent] = useState<SentSample>();
  const send = (): void => {
    void run(async () => setSent(await ask<SentSample>(pathOf(['test']), { method: 'POST', body: JSON.parse(wish) })));
  };
  return (
    <Dialog
      title="Send a test"
      {...(sent === undefined ? { action: 'Send it once', onAction: send } : {})}
      {...{ onClose, isBusy, failure }}
      isDisabled={!isCurrent}
      {...(sent === undefined ? { command } : {})}
    >
      {sent === undefined ? (
        <p>
          One real message about <b>{about === undefined ? 'a member' : <Clipped text={about.user} most={60} />}</b> is
          sent to {about === undefined ? 'the endpoint' : <Clipped text={about.request.url} />} now. No job is started.
        </p>
      ) : (
        <Answer {...sent} />
      )}
    </Dialog>
  );
}

function Answer(sent: SentSample): JSX.Element {
  const { answer } = sent;
  const { durationMs, verdict, answer: text } = answer;
  return (
    <>
      <p>
        <State state={verdict === 'delivered' ? 'delivered' : 'failed'} /> {failureInWords(answer)}{' '}
        <span class="quiet">after {shownCount(durationMs)} ms</span>
      </p>
      {text !== undefined && text !== '' && (
        <p>
          They said: “<Clipped text={text} />”
        </p>
      )}
      <p>{meaningOf(answer, sent)}</p>
    </>
  );
}
