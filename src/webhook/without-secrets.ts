import { type HttpAttempt, CUT } from './attempt.ts';

/** Replaces what was removed. */
const MASK = '…';
/** A secret with fewer characters is removed only where it stands alone: elsewhere it may be part of any word. */
const SHORT = 6;
const WORD = /[\p{L}\p{N}]/u;
type Escapes = Readonly<Record<string, string>>;
const HTML: Escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
/** The ways in which software for error pages escapes text in HTML: the usual one, PHP, Python, Jinja, Go, Handlebars. */
const IN_HTML: readonly Escapes[] = [
  HTML,
  { ...HTML, "'": '&#39;' },
  { ...HTML, "'": '&#039;' },
  { ...HTML, "'": '&#x27;' },
  { ...HTML, '"': '&#34;', "'": '&#39;' },
  { ...HTML, '"': '&#34;', "'": '&#39;', '+': '&#43;' },
  { ...HTML, "'": '&#x27;', '`': '&#x60;', '=': '&#x3D;' },
];
/** Go escapes JSON so that it can be embedded in HTML. */
const GO_JSON: Escapes = { '&': String.raw`\u0026`, '<': String.raw`\u003c`, '>': String.raw`\u003e` };

/**
 * The answer of an endpoint without the secrets that it was sent: many endpoints repeat what they received when they refuse it. Each secret is
 * removed as it is, and without its scheme (`Bearer …`). Both forms are also removed as written in JSON, HTML, a URL, a form, base64 or hex, in upper
 * or lower case. At the end of an answer that was cut, the beginning of a secret is removed as well. A secret that the endpoint changed in another
 * way is not found: a hash, a part of it, two of these encodings one after the other.
 *
 * @param text ends with `CUT` when it was cut.
 * @param secrets header values, parameters, passwords, keys as text. Empty ones are ignored; for those under 6 characters see `SHORT`. The list must
 *   never be changed, and should be the same object each time, since its forms are cached by it.
 */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const where = lowerCase(text);
  const hidden = new Uint8Array(text.length);
  for (const form of formsOfAll(secrets)) {
    for (let at = where.indexOf(form); at >= 0; at = where.indexOf(form, at + 1)) {
      if (form.length >= SHORT || standsAlone(where, at, form.length)) hidden.fill(1, at, at + form.length);
    }
    if (text.endsWith(CUT)) hidden.fill(1, beginningAtTheEnd(where, form), text.length);
  }
  let kept = '';
  for (const [at, isHidden] of hidden.entries()) {
    if (isHidden === 0) kept += text[at];
    else if (hidden[at - 1] !== 1) kept += MASK;
  }
  return kept;
}

/** The outcome of a request, with the secrets of its authorization and of its URL (`secretsIn`) removed from the answer. */
export function withoutEcho(attempt: HttpAttempt, secrets: readonly string[], inUrl: readonly string[]): HttpAttempt {
  if (attempt.ok || attempt.answer === undefined) return attempt;
  return { ...attempt, answer: withoutSecrets(withoutSecrets(attempt.answer, secrets), inUrl) };
}

/** A segment of a path that is at least this long may be a token; a shorter one counts as a word. */
const TOKEN = 12;

/**
 * The parts of a webhook URL that may allow somebody to send to it: its path, long segments of the path, and values of its query. Each is given as it
 * is sent and as an endpoint decodes it.
 */
export function secretsIn({ pathname, search, searchParams }: URL): readonly string[] {
  const pieces = pathname.split('/').filter((piece) => piece.length >= TOKEN);
  // A parameter without "=" is taken as a whole.
  const values = search
    .slice(1)
    .split('&')
    .map((parameter) => parameter.slice(parameter.indexOf('=') + 1));
  const whole = [pathname + search, pathname].filter((part) => part !== '/');
  return [...whole, ...pieces, ...pieces.map(decoded), ...values, ...searchParams.values()];
}

function decoded(piece: string): string {
  try {
    return decodeURIComponent(piece);
  } catch {
    return piece; // It contains a % that is not an escape.
  }
}

/** The position from which a cut text may be the beginning of a secret; otherwise the position of the cut. */
function beginningAtTheEnd(where: string, form: string): number {
  const end = where.length - CUT.length;
  for (let at = Math.max(0, end - form.length + 1); at < end; at++) {
    if (where[at] === form[0] && form.startsWith(where.slice(at, end))) return at;
  }
  return end;
}

function standsAlone(where: string, at: number, length: number): boolean {
  return !WORD.test(where[at - 1] ?? '') && !WORD.test(where[at + length] ?? '');
}

// Making the forms takes ten times as long as searching for them. They are dropped with their list, which lives as long as its authorization.
const known = new WeakMap<readonly string[], ReadonlySet<string>>();

function formsOfAll(secrets: readonly string[]): ReadonlySet<string> {
  const forms = known.get(secrets) ?? new Set(secrets.flatMap(formsOf).filter((form) => form !== ''));
  known.set(secrets, forms);
  return forms;
}

function formsOf(secret: string): string[] {
  const whole = secret.toWellFormed().trim();
  const [, afterScheme] = /^\S+ +(.+)$/.exec(whole) ?? [];
  return [whole, ...(afterScheme === undefined ? [] : [afterScheme])].flatMap(spellings).map(lowerCase);
}

function spellings(secret: string): string[] {
  if (secret.length < SHORT) return [secret];
  const inJson = JSON.stringify(secret).slice(1, -1);
  const inUrl = encodeURIComponent(secret);
  // The way in which we send the query parameters of an authorization.
  const inForm = new URLSearchParams([[secret, '']]).toString().slice(0, -1);
  const inBase64 = [0, 1, 2].map((before) => base64Within(secret, before));
  return [
    secret,
    inJson,
    inJson.replaceAll('/', String.raw`\/`),
    escaped(inJson, GO_JSON),
    ...IN_HTML.map((escapes) => escaped(secret, escapes)),
    inUrl,
    inUrl.replaceAll('%20', '+'),
    inForm,
    inForm.replaceAll('+', '%20'),
    Buffer.from(secret).toString('hex'),
    ...inBase64,
    ...inBase64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
}

function escaped(text: string, escapes: Escapes): string {
  return text.replaceAll(/[&<>"'+`=]/g, (mark) => escapes[mark] ?? mark);
}

/** A secret as it appears in the base64 of a longer text, without the characters that also contain bits of its neighbours. */
function base64Within(secret: string, bytesBefore: number): string {
  const bytes = Buffer.concat([Buffer.alloc(bytesBefore), Buffer.from(secret)]);
  return bytes.toString('base64').slice(Math.ceil((bytesBefore * 4) / 3), Math.floor((bytes.length * 4) / 3));
}

/** Changes ASCII letters only, so that every character keeps its position. */
function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
