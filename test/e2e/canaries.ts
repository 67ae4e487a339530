import { randomBytes } from 'node:crypto';
import { newSigningSecret } from '../../src/config/references.ts';

const canary = (kind: string): string => `canary-${kind}-${randomBytes(9).toString('hex')}`;

/** One secret of each kind that requests carry. */
export const SENT = {
  header: canary('header'),
  // Some characters of it look different in a URL and in a form.
  query: `${canary('query')}!~`,
  user: canary('user'),
  password: canary('password'),
  bearer: canary('bearer'),
  token: canary('token'),
  nextToken: canary('next-token'),
  sourceHeader: canary('source-header'),
  sourceQuery: canary('source-query'),
  proxy: canary('proxy'),
  alertHeader: canary('alert-header'),
  alertPath: canary('alert-path'),
  collector: canary('collector'),
};

/** One of each kind that no request carries as it is, or none that is looked at. */
export const KEPT = {
  // Without a dash: a sender would escape it before it is in base64.
  client: canary('client').replaceAll('-', ''),
  passphrase: canary('passphrase'),
  signing: newSigningSecret('hmac').secret,
  ed25519: newSigningSecret('ed25519').secret,
  apiKey: canary('api-key'),
  database: canary('database'),
  payloadKey: randomBytes(32).toString('base64'),
  codecToken: canary('codec-token'),
};

/** What is a secret too, but known to the job itself, which has to send there. */
export const IN_URL = { path: canary('path'), parameter: canary('parameter'), userInfo: canary('userinfo') };

/** Which of the secrets are in a text, in whatever form. What says of which kind a secret is may be missing there: `whsec_`. */
export function found(text: string, secrets: readonly string[]): string[] {
  return secrets.filter((secret) => formsOf(secret.replace(/^whs\w+?_/, '')).some((form) => text.includes(form)));
}

/** How a secret could stand somewhere: as it is, in a URL, in a form, in hex, or within base64, wherever it begins there. */
function formsOf(secret: string): string[] {
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]).toString('base64');
    return text.slice(before === 0 ? 0 : 4, -4);
  });
  const inForm = new URLSearchParams([[secret, '']]).toString().slice(0, -1);
  return [secret, encodeURIComponent(secret), inForm, Buffer.from(secret).toString('hex'), ...within];
}
