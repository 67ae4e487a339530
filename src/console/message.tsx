import type { JSX } from 'preact';
import type { Exchange, ShownRequest } from '../contract/delivery.ts';
import { definedOf } from '../domain/json.ts';
import { indentedJson } from '../words/indented-json.ts';
import { printable, shownCount } from '../domain/text.ts';
import { failureInWords } from '../domain/verdict.ts';

const SHOWN_BYTES = 50_000;
const JSON_TYPE = /^[^;]*[/+]json\s*(?:;|$)/i;

/** A request as it was or would be sent, as far as people may see it. */
export function Request({ request }: { readonly request: ShownRequest }): JSX.Element {
  const { method, url, headers, body, bodyBytes } = request;
  return (
    <>
      <Http label="The request" head={`${method} ${url}`} {...{ headers, body }} />
      <p class="hint">{shownCount(bodyBytes)} bytes. Secrets and the URL&apos;s path are hidden here but are sent.</p>
    </>
  );
}

interface AnswerProps extends Pick<Exchange, 'response'> {
  readonly status?: number | undefined;
  readonly code?: string | undefined;
  /** Its beginning, where no more was kept. */
  readonly answer?: string | undefined;
}

/** An endpoint's answer, as far as it was kept. */
export function Answer({ status, code, answer = '', response }: AnswerProps): JSX.Element {
  const { headers = [], body = answer } = response ?? {};
  return <Http label="The answer" head={failureInWords(definedOf({ status, code }))} {...{ headers, body }} />;
}

interface HttpProps extends Pick<ShownRequest, 'headers' | 'body'> {
  readonly label: string;
  /** Its first line. */
  readonly head: string;
}

function Http({ label, head, headers, body }: HttpProps): JSX.Element {
  const type = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? '';
  const shown = body.slice(0, SHOWN_BYTES);
  // An endpoint may call JSON what is none.
  const isJson = JSON_TYPE.test(type) && /^\s*[[{]/.test(shown);
  const text = isJson ? indentedJson(shown) : shown.split('\n').map(printable);
  const lines = [head, ...headers.map(([name, value]) => `${name}: ${value}`)].map(printable);
  return (
    <pre tabIndex={0} aria-label={label}>
      {[...lines, ...(body === '' ? [] : ['', ...text])].join('\n')}
    </pre>
  );
}
