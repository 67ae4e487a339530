import { type Attempt, CUT } from './attempt.ts';

/** Stands for what was taken out. */
const MASK = '…';
/** A secret of fewer characters is taken out only where it stands by itself: elsewhere it may be a piece of any word. */
const SHORT = 6;
const WORD = /[\p{L}\p{N}]/u;
type Escapes = Readonly<Record<string, string>>;
const HTML: Escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
/** As what renders error pages writes a text in HTML: most, PHP, Python, Jinja, Go, Handlebars. */
const IN_HTML: readonly Escapes[] = [
  HTML,
  { ...HTML, "'": '&#39;' },
  { ...HTML, "'": '&#039;' },
  { ...HTML, "'": '&#x27;' },
  { ...HTML, '"': '&#34;', "'": '&#39;' },
  { ...HTML, '"': '&#34;', "'": '&#39;', '+': '&#43;' },
  { ...HTML, "'": '&#x27;', '`': '&#x60;', '=': '&#x3D;' },
];
/** Go's JSON, which is meant to stand in HTML. */
const GO_JSON: Escapes = { '&': String.raw`\u0026`, '<': String.raw`\u003c`, '>': String.raw`\u003e` };

/**
 * What an endpoint answered, without the secrets that it was sent: many an endpoint that refuses says what it was given. Taken out is each secret as it
 * is, what follows its scheme (`Bearer …`), and both in JSON, HTML, a URL, a form, base64 or hex, in capitals or not; and at the end of an answer that was
 * cut, also a secret's beginning. Not found is what the endpoint did something else with: a hash of it, a part, two of these one after the other.
 *
 * @param text ends in `CUT` when it was cut.
 * @param secrets header values, parameters, passwords, keys as text. Empty ones are left out; of under 6 characters, see `SHORT`. Best the same list
 *   each time, never changed: its forms are kept with it.
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

/** What came of a request, without what its answer repeats of the secrets that it carried, of its authorization and in its URL (`secretsIn`). */
export function withoutEcho(attempt: Attempt, secrets: readonly string[], inUrl: readonly string[]): Attempt {
  if (attempt.ok || attempt.answer === undefined) return attempt;
  return { ...attempt, answer: withoutSecrets(withoutSecrets(attempt.answer, secrets), inUrl) };
}

/** A piece of a path that is as long may be a token; a shorter one is a word. */
const TOKEN = 12;

/**
 * What of a webhook URL may let somebody send to it: its path, what is long in there, and what its query's parameters are; each as it is sent, and as
 * an endpoint reads it.
 */
export function secretsIn({ pathname, search, searchParams }: URL): readonly string[] {
  const pieces = pathname.split('/').filter((piece) => piece.length >= TOKEN);
  // Of a parameter without a name, all of it.
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
    return piece; // A % that means nothing.
  }
}

/** Where a cut text may end with the beginning of a secret; else where it was cut. */
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

// Making the forms takes ten times as long as looking for them; a list lives as long as its authorization, and its forms no longer.
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
  // As we send a parameter of an authorization.
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

/** A secret as it stands in the base64 of a longer text, without the characters that hold bits of its neighbours too. */
function base64Within(secret: string, bytesBefore: number): string {
  const bytes = Buffer.concat([Buffer.alloc(bytesBefore), Buffer.from(secret)]);
  return bytes.toString('base64').slice(Math.ceil((bytesBefore * 4) / 3), Math.floor((bytes.length * 4) / 3));
}

/** Of ASCII only, so that every character keeps its place. */
function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
