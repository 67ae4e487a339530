import { createHash, createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';

/** How a sender signs its requests. */
export type SignatureScheme =
  | {
      readonly kind: 'hmac';
      /** In lower case. Its value may begin with the algorithm: `sha256=…`. */
      readonly header: string;
      readonly algorithm: 'sha1' | 'sha256';
      readonly encoding: 'hex' | 'base64';
      /** The part that is signed: if the body is a list, perhaps only its first element. Default: the whole body. */
      readonly covers?: 'body' | 'first-event' | undefined;
    }
  /** HMAC-SHA256 of `v0:<x-cio-timestamp>:<body>`, in hex. */
  | { readonly kind: 'customerio' }
  /** Standard Webhooks 1.0, with `whsec_` or the public `whpk_`. */
  | { readonly kind: 'standard-webhooks' };

/** A signature, as configured. */
interface ConfiguredSignature {
  readonly kind?: SignatureScheme['kind'] | undefined;
  readonly header?: string | undefined;
  readonly algorithm?: Hmac['algorithm'] | undefined;
  readonly encoding?: Hmac['encoding'] | undefined;
  readonly covers?: Hmac['covers'];
}
type Hmac = Extract<SignatureScheme, { kind: 'hmac' }>;

/** Returns how a sender signs: as configured, or else as its preset says. Undefined: unknown. */
export function schemeOf(
  { kind, header, algorithm, encoding, covers }: ConfiguredSignature,
  known: SignatureScheme | undefined,
): SignatureScheme | undefined {
  const chosen = kind ?? known?.kind ?? 'hmac';
  if (chosen !== 'hmac') return { kind: chosen };
  const before = known?.kind === 'hmac' ? known : undefined;
  const name = header ?? before?.header;
  if (name === undefined) return undefined;
  return {
    kind: 'hmac',
    header: name.toLowerCase(),
    algorithm: algorithm ?? before?.algorithm ?? 'sha256',
    encoding: encoding ?? before?.encoding ?? 'hex',
    covers,
  };
}

/** The proofs that a request needs, all of them. If there are none, every request is accepted. */
export interface Proof {
  readonly signature?: { readonly scheme: SignatureScheme; readonly secrets: readonly string[] } | undefined;
  /** Any of these: one of them may be about to be replaced. */
  readonly basic?: readonly { readonly username: string; readonly password: string }[] | undefined;
  readonly header?: { readonly name: string; readonly values: readonly string[] } | undefined;
  readonly parameter?: { readonly name: string; readonly values: readonly string[] } | undefined;
}

/** The parts of a request that are checked. */
interface Shown {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, string | undefined>>;
  /** Its bytes, as they came. */
  readonly body: Uint8Array;
}

/** Oldest and newest `webhook-timestamp` that is accepted, in seconds from now (Standard Webhooks, "Verifying signatures"). */
const TOLERANCE_S = 300;
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** Whether any proof is needed. */
export function isProofNeeded(proof: Proof): boolean {
  return proofKinds(proof).length > 0;
}

/** Whether a signature is the only proof: it covers neither the URL nor, but for its own, the headers. */
export function isSignedAlone(proof: Readonly<Partial<Record<keyof Proof, unknown>>>): boolean {
  return proofKinds(proof).join() === 'signature';
}

/** Returns all kinds of proof that a sender needs. */
export function proofKinds(proof: Readonly<Partial<Record<keyof Proof, unknown>>>): (keyof Proof)[] {
  return (['signature', 'basic', 'header', 'parameter'] as const).filter((kind) => proof[kind] !== undefined);
}

/**
 * Returns which proof is missing or wrong; undefined when none is. A comparison takes the same time for a nearly right value and a wrong one. The
 * text repeats nothing from the request.
 * @param nowMs epoch time.
 */
export function proofProblem(proof: Proof, shown: Shown, nowMs: number): string | undefined {
  return headProblem(proof, shown, nowMs) ?? (proof.signature && signatureProblem(proof.signature, shown));
}

/** Checks what shows without the body: for a signature, only that there is one, and its time. */
export function headProblem(
  { signature, basic, header, parameter }: Proof,
  { headers, query }: Omit<Shown, 'body'>,
  nowMs: number,
): string | undefined {
  if (basic !== undefined) {
    const expected = basic.map(({ username, password }) => Buffer.from(`${username}:${password}`).toString('base64'));
    const [, sent] = /^basic +(\S+)$/i.exec(headers['authorization'] ?? '') ?? [];
    if (!isOneOf(sent, expected)) return 'The user name and password are missing or wrong: "authorization: Basic …".';
  }
  if (header !== undefined && !isOneOf(headers[header.name], header.values))
    return `The header "${header.name}" is missing or wrong.`;
  if (parameter !== undefined && !isOneOf(query[parameter.name], parameter.values))
    return `The parameter "${parameter.name}" of the URL is missing or wrong.`;
  if (signature === undefined) return undefined;
  const { scheme } = signature;
  if (scheme.kind === 'standard-webhooks') return standardHeadProblem(headers, nowMs);
  const name = scheme.kind === 'hmac' ? scheme.header : 'x-cio-signature';
  return headers[name] === undefined ? wrong(name) : undefined;
}

function signatureProblem(
  { scheme, secrets }: NonNullable<Proof['signature']>,
  { headers, body }: Shown,
): string | undefined {
  if (scheme.kind === 'standard-webhooks') return standardProblem(secrets, headers, body);
  if (scheme.kind === 'customerio') {
    const head = `v0:${headers['x-cio-timestamp'] ?? ''}:`;
    const expected = secrets.map((secret) => createHmac('sha256', secret).update(head).update(body).digest('hex'));
    return isOneOf(headers['x-cio-signature'], expected) ? undefined : wrong('x-cio-signature');
  }
  const { header, algorithm, encoding, covers = 'body' } = scheme;
  const sent = headers[header]?.trim().replace(/^sha(1|256)=/i, '');
  const isOf = (bytes: Uint8Array): boolean => {
    const expected = secrets.map((secret) => createHmac(algorithm, secret).update(bytes).digest(encoding));
    return isOneOf(encoding === 'hex' ? sent?.toLowerCase() : sent, expected);
  };
  const first = firstOf(body);
  if (isOf(covers === 'body' ? body : first)) return undefined;
  return first.length < body.length && isOf(first)
    ? `The signature in "${header}" is of the first event of this batch only. Send one event at a time, or see "covers" in docs/ingests.md.`
    : wrong(header);
}

/** The bytes of the first element of a list in JSON; all bytes if it is not a list of objects. Nothing is parsed, since its sender is not verified yet. */
function firstOf(body: Uint8Array): Uint8Array {
  const bracket = afterBlanks(body, 0);
  if (body[bracket] !== BRACKET) return body;
  const begin = afterBlanks(body, bracket + 1);
  let depth = 0;
  let isText = false;
  for (let at = begin; at < body.length; at++) {
    const mark = body[at];
    if (isText && mark === BACKSLASH) at++;
    else if (mark === QUOTE) isText = !isText;
    else if (isText) continue;
    else if (mark === BRACE || mark === BRACKET) depth++;
    else if ((mark === CLOSING_BRACE || mark === CLOSING_BRACKET) && --depth === 0) return body.subarray(begin, at + 1);
  }
  return body;
}

function afterBlanks(body: Uint8Array, from: number): number {
  let at = from;
  while ((body[at] ?? Infinity) <= SPACE) at++;
  return at;
}

const [SPACE = 0, QUOTE, BACKSLASH, BRACE, CLOSING_BRACE, BRACKET, CLOSING_BRACKET] = Buffer.from(' "\\{}[]');

function wrong(header: string): string {
  return `The signature in "${header}" is missing, or it is not that of this body with the secret that is configured here.`;
}

function standardHeadProblem(headers: Shown['headers'], nowMs: number): string | undefined {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp = '', 'webhook-signature': signatures } = headers;
  if (id === undefined || !/^\d{1,12}$/.test(timestamp))
    return 'The headers "webhook-id" and "webhook-timestamp" of Standard Webhooks are missing.';
  if (Math.abs(Number(timestamp) - nowMs / 1000) > TOLERANCE_S)
    return 'Its "webhook-timestamp" is more than five minutes off.';
  return signatures === undefined ? wrong('webhook-signature') : undefined;
}

function standardProblem(secrets: readonly string[], headers: Shown['headers'], body: Uint8Array): string | undefined {
  const { 'webhook-id': id = '', 'webhook-timestamp': timestamp = '', 'webhook-signature': signatures = '' } = headers;
  const head = `${id}.${timestamp}.`;
  const sent = signatures.split(' ', MOST_SIGNATURES);
  const shared = secrets.filter((secret) => secret.startsWith('whsec_'));
  const keys = secrets.filter((secret) => !shared.includes(secret));
  const expected = shared.map(
    (one) => `v1,${createHmac('sha256', keyIn(one)).update(head).update(body).digest('base64')}`,
  );
  const byKey = keys.length === 0 ? [] : sent.filter((one) => one.startsWith('v1a,'));
  const signed = byKey.length === 0 ? body : Buffer.concat([Buffer.from(head), body]);
  const isRight =
    sent.some((one) => isOneOf(one, expected)) ||
    keys.some((key) => byKey.some((one) => isSignedBy(key, one.slice('v1a,'.length), signed)));
  return isRight ? undefined : wrong('webhook-signature');
}

/** Most signatures of a message that are compared: a header has room for thousands, and senders make one for each key in use. */
const MOST_SIGNATURES = 5;

function keyIn(secret: string): Buffer {
  return Buffer.from(secret.slice(secret.indexOf('_') + 1), 'base64');
}

function isSignedBy(secret: string, signature: string, content: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI_HEAD, keyIn(secret)]), format: 'der', type: 'spki' });
  return verify(null, content, key, Buffer.from(signature, 'base64'));
}

const ED25519_BYTES = 32;
const MIN_SHARED_BYTES = 24;

/** Whether a secret can verify Standard Webhooks: a shared one, or a public key. */
export function canVerify(secret: string): boolean {
  const [, kind, encoded = ''] = /^(whsec|whpk)_(.+)$/s.exec(secret) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  if (kind === undefined || bytes.toString('base64') !== encoded) return false;
  return kind === 'whsec' ? bytes.length >= MIN_SHARED_BYTES : bytes.length === ED25519_BYTES;
}

/** Compares in constant time, also when the lengths differ. */
function isOneOf(sent: string | undefined, expected: readonly string[]): boolean {
  const shown = digest(sent ?? '');
  let isFound = false;
  for (const one of expected) if (timingSafeEqual(digest(one), shown)) isFound = true;
  return isFound && sent !== undefined;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
