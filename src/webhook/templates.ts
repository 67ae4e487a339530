import { hash } from 'node:crypto';
import {
  analyzeSync,
  Context,
  defaultOperators,
  type FilterImplOptions,
  Liquid,
  LiquidError,
  Output,
  Tag,
  type TagToken,
  type Template as LiquidTemplate,
  toValueSync,
  TypeGuards,
  Value,
} from 'liquidjs';
import { nearestKey } from '../contract/nearest-key.ts';
import { TEMPLATE_LENGTH } from '../contract/request-shape.ts';
import type { JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { isRecord, stringifyJson } from '../domain/json.ts';
import { isTemplate } from '../domain/message.ts';
import { jsonImpossible } from './json-template.ts';

/** What a template may name. */
export interface TemplateScope {
  /** The person. */
  readonly id: string;
  /** The person's fields, as Export Fields select them. */
  readonly data: JsonObject;
  readonly event: TriggerEvent;
  readonly action: 'entered' | 'exited';
  readonly audience: { readonly id: string; readonly slug: string; readonly name: string };
  /** RFC 3339: when it happened. */
  readonly at: string;
  /** RFC 3339: the time of this attempt. */
  readonly now: string;
  readonly delivery_id: string;
  /** From 1. */
  readonly attempt: number;
  readonly job: { readonly label: string; readonly subscription_id: string };
  /** The default body; written, it is that body byte for byte. */
  readonly body: JsonObject;
}

/** What a template may name of each trigger of a batch. */
export type ItemScope = Omit<TemplateScope, 'now' | 'job'>;

/** What the template of a batch may name. */
export interface BatchScope extends Pick<TemplateScope, 'now' | 'job'> {
  /** The triggers that the request carries, in their order; empty outside of its body. */
  readonly items: readonly ItemScope[];
}

/** The names of a scope; `data` and `body` have the person's own below them. */
type Known = Readonly<Record<string, readonly string[] | 'any' | 'none'>>;

const KNOWN = {
  id: 'none',
  data: 'any',
  event: 'none',
  action: 'none',
  audience: ['id', 'slug', 'name'],
  at: 'none',
  now: 'none',
  delivery_id: 'none',
  attempt: 'none',
  job: ['label', 'subscription_id'],
  body: 'any',
} as const satisfies Record<keyof TemplateScope, Known[string]>;

/** Of the URL and the headers of a batch, and of its body. */
const KNOWN_OF_BATCH = { now: KNOWN.now, job: KNOWN.job } as const;
const KNOWN_IN_BATCH = { ...KNOWN_OF_BATCH, items: 'any' } as const satisfies Record<keyof BatchScope, Known[string]>;

/**
 * Where a template's text goes: with `url`, into the path and query of a URL, where each value that it writes is encoded, so that it can be
 * neither a separator nor a segment of its own, unless it is `raw`.
 */
export type TemplateUse = 'text' | 'url';

/** Stands in a URL for a value that was empty, so that a segment which lost its value can be told from one that was written empty. */
export const EMPTY_VALUE = '\0';

/** What is wrong with a template, or with what came of it, in words; never with a value of the person in them. */
export class TemplateFailed extends Error {
  override readonly name = 'TemplateFailed';
}

/** `{% skip "reason" %}`: nothing is to be sent about this person. The message is the reason. */
export class TemplateSkipped extends Error {}

/** A template that was read. */
export interface Template {
  /**
   * @throws TemplateFailed with the line
   * @throws TemplateSkipped
   */
  render(scope: TemplateScope | BatchScope): string;
}

/** Most characters that a rendering makes: of its text, of each capture, and of all that filters make on the way. A body has at most 2 MiB. */
const MOST_CHARACTERS = 2 * 1024 * 1024;
/**
 * Most steps that all the templates of one request may take together: blocks that are entered, texts that are written, entries that filters go
 * through. Some 100 ms at most, since a step takes 1 to 5 µs. It decides before time does, so alike on every machine.
 */
const MOST_STEPS = 20_000;
/** Characters that `contains` searches in the time of a step, at worst. */
const SEARCHED_IN_STEP = 500;
/** The same for each trigger of a batch, beside that. */
const MOST_STEPS_OF_ITEM = 100;
/** Longest time of one rendering, while which the worker does nothing else. */
const MOST_MS = 500;
const REASON_LENGTH = 200;

/** How LiquidJS says that `MOST_MS` have passed. */
const OUT_OF_TIME = /template render limit exceeded/;

/**
 * Reads a template.
 * @throws TemplateFailed with the line when it cannot be read.
 */
export function readTemplate(source: string, use: TemplateUse): Template {
  if (!isTemplate(source)) return { render: () => source };
  const liquid = use === 'url' ? forUrls : forText;
  const parsed = trying(() => liquid.parse(source));
  const once = (scope: TemplateScope | BatchScope): string => {
    // A copy, since a template can count in a variable of any name.
    const context = new BoundedContext({ ...scope }, liquid.options, { sync: true }, { liquid });
    context.steps = stepsTaken.get(scope) ?? 0;
    if ('items' in scope) context.mostSteps += scope.items.length * MOST_STEPS_OF_ITEM;
    const emitter = new BoundedText(context);
    toValueSync(liquid.renderer.renderTemplates(parsed, context, emitter));
    stepsTaken.set(scope, context.steps);
    return emitter.buffer;
  };
  const pieces = piecesOf(parsed, use);
  return {
    render: (scope) =>
      (pieces === undefined ? undefined : joined(pieces, scope)) ??
      trying(() => {
        try {
          return once(scope);
        } catch (error) {
          // The machine may have slept, or done something else: that says nothing about the template.
          if (error instanceof Error && OUT_OF_TIME.test(error.message)) return once(scope);
          throw error;
        }
      }),
  };
}

// By its scope, which all the templates of a request have in common.
const stepsTaken = new WeakMap<object, number>();

/** A piece of a template that is text, or writes what a path leads to: most templates have no others. */
type Piece = string | { readonly path: readonly string[]; readonly write: (value: unknown) => string };

/** Names that LiquidJS gives a meaning of their own. */
const OWN_MEANING = /^(size|first|last)$/;

/**
 * The pieces of a template that has no others, so that they can be joined in a tenth of the time that LiquidJS takes, which must have read the
 * template; undefined: it has others.
 */
function piecesOf(parsed: readonly LiquidTemplate[], use: TemplateUse): Piece[] | undefined {
  const pieces = parsed.map((one): Piece | undefined => {
    if (TypeGuards.isHTMLToken(one.token)) return one.token.getContent();
    if (!(one instanceof Output)) return undefined;
    const path = pathOf(one.value);
    const write = writingOf(one.value, use);
    return path === undefined || write === undefined ? undefined : { path, write };
  });
  return pieces.some((piece) => piece === undefined) ? undefined : pieces.filter((piece) => piece !== undefined);
}

/** The names of `data.account.email`; undefined for any other expression. */
function pathOf({ initial: { postfix } }: Value): string[] | undefined {
  const [token, more] = postfix;
  if (more !== undefined || !TypeGuards.isPropertyAccessToken(token) || token.variable !== undefined) return undefined;
  const names = token.props.map((prop) => ('content' in prop && typeof prop.content === 'string' ? prop.content : ''));
  return names.some((name) => name === '' || OWN_MEANING.test(name)) ? undefined : names;
}

/** How a value is written, by no filter or by `json`; undefined for any other. */
function writingOf({ filters }: Value, use: TemplateUse): ((value: unknown) => string) | undefined {
  const isUrl = use === 'url';
  if (filters.at(-1)?.raw === true) return undefined;
  // In a URL, the last one is what encodes.
  const [filter, more] = isUrl ? filters.slice(0, -1) : filters;
  if (filter === undefined) return isUrl ? encoded : written;
  if (more !== undefined || filter.name !== 'json' || filter.args.length > 0) return undefined;
  return isUrl ? (value) => encoded(writtenJson(value)) : writtenJson;
}

/** Pieces joined to what LiquidJS would write; undefined where it would object, which it is to say itself, with the line. */
function joined(pieces: readonly Piece[], scope: object): string | undefined {
  let text = '';
  try {
    for (const piece of pieces) {
      text += typeof piece === 'string' ? piece : piece.write(valueAt(piece.path, scope));
      if (text.length > MOST_CHARACTERS) return undefined;
    }
    return text;
  } catch {
    return undefined;
  }
}

/** What a path leads to through properties that are a value's own. */
function valueAt(path: readonly string[], scope: object): unknown {
  let value: unknown = scope;
  for (const name of path) {
    if (value === undefined || value === null) return value;
    const owner: object = Object(value);
    value = Object.hasOwn(owner, name) ? Reflect.get(owner, name) : undefined;
  }
  return value;
}

/**
 * What is wrong with a template, in words, as far as that shows without a person: its syntax, and names that no scope has.
 * @param of where it stands.
 */
export function templateProblem(
  source: string,
  use: TemplateUse,
  {
    batch,
    data,
    isJson = false,
  }: {
    readonly batch?: 'body' | 'around' | undefined;
    readonly data?: readonly string[] | undefined;
    /** Whether what it gives has to be JSON. */
    readonly isJson?: boolean;
  } = {},
): string | undefined {
  try {
    const templates = trying(() => (use === 'url' ? forUrls : forText).parse(source));
    if (batch !== undefined) trying(() => forBatches.parse(source));
    const { globals, locals } = analyzeSync(templates, { partials: false });
    const known = knownIn(batch, data);
    for (const variable of Object.values(globals).flat()) {
      const unknown = unknownName(variable.segments, known);
      if (unknown !== undefined) return `Line ${variable.location.row}: ${unknown}`;
    }
    return isJson ? neverJson(source, templates, Object.keys(locals).length > 0) : undefined;
  } catch (error) {
    if (error instanceof TemplateFailed) return error.message;
    throw error;
  }
}

/** Why what a template gives is JSON for nobody, in words; undefined: it may be for somebody. */
function neverJson(source: string, templates: readonly LiquidTemplate[], hasLocals: boolean): string | undefined {
  const found = jsonImpossible(templates, { isSkip: (one) => one instanceof SkipTag, hasLocals });
  if (found === undefined) return undefined;
  const lines = source.slice(0, found.offset).split('\n');
  const never = 'what it gives can be JSON for nobody';
  if (found.offset === undefined) return `Line ${lines.length}: ${never}: at its end, something in it is still open.`;
  const column = (lines.at(-1)?.length ?? 0) + 1;
  return `Line ${lines.length}, column ${column}: ${never}: something is wrong there, or just before it (a comma, a quote or a bracket).`;
}

/**
 * @param batch where in a batch; undefined: a request is about one person.
 * @param data the names that `data` has; undefined: any.
 */
function knownIn(batch: 'body' | 'around' | undefined, data: readonly string[] | undefined): Known {
  if (batch !== undefined) return batch === 'body' ? KNOWN_IN_BATCH : KNOWN_OF_BATCH;
  return data === undefined ? KNOWN : { ...KNOWN, data };
}

function unknownName([root, next]: readonly unknown[], known: Known): string | undefined {
  const names = Object.keys(known);
  if (typeof root !== 'string') return undefined;
  const below = Object.hasOwn(known, root) ? known[root] : undefined;
  if (below === undefined && Object.hasOwn(KNOWN, root)) {
    const where = Object.hasOwn(known, 'items')
      ? `Name it of each: {% for item in items %}{{ item.${root} }}{% endfor %}.`
      : 'Only the body can name it, of each of its "items".';
    return `with "batch", a request is about several people, and so has no "${root}" of its own. ${where}`;
  }
  if (below === undefined) return `there is nothing called "${root}". ${advice(root, names)}`;
  if (below === 'any' || typeof next !== 'string' || below.includes(next) || OWN_MEANING.test(next)) return undefined;
  if (below === 'none') return `"${root}" has nothing below it, such as "${next}".`;
  if (root === 'data') return `"exportFields" leaves "${next}" out, so it is not in "data". ${advice(next, below)}`;
  return `"${root}" has nothing called "${next}". ${advice(next, below)}`;
}

function advice(name: string, known: readonly string[]): string {
  const near = nearestKey(name, known);
  return near === undefined ? `There are: ${known.join(', ')}.` : `Did you mean "${near}"?`;
}

// The text of a default body by the object that a template gets of it, so that it is written as it is.
const spelt = new WeakMap<object, string>();

/** An object that is written as this text. */
export function speltAs(value: JsonObject, text: string): JsonObject {
  spelt.set(value, text);
  return value;
}

/** A value as a template writes it. An object is written as JSON. */
function written(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') refuseNoNumber(value);
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value === undefined || value === null) return '';
  return Array.isArray(value) ? value.map(written).join('') : writtenJson(value);
}

function writtenJson(value: unknown): string {
  const known = isRecord(value) ? spelt.get(value) : undefined;
  if (known !== undefined) return known;
  const text = stringifyJson(value ?? null);
  // A number that JSON cannot write becomes null there.
  if (text.includes('null')) refuseNoNumber(value);
  return text;
}

/** Of a number that is too large to be one, such as 1e400, nothing is left that could be written. */
function refuseNoNumber(value: unknown): void {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(NO_NUMBER);
  if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) refuseNoNumber(one);
}

/** Why nothing is written of such a number. */
export const NO_NUMBER = 'a number is too large to be written';

/** One rendering, with all that it has used up so far. */
class BoundedContext extends Context {
  mostSteps = MOST_STEPS;
  steps = 0;

  step(count = 1): void {
    this.steps += count;
    if (this.steps > this.mostSteps) throw new RangeError('it repeats too much');
  }
}

/** The text that a rendering writes. */
class BoundedText {
  buffer = '';
  readonly #context: BoundedContext;

  constructor(context: BoundedContext) {
    this.#context = context;
  }

  write(value: unknown): void {
    this.#context.step();
    const text = written(value);
    if (this.buffer.length + text.length > MOST_CHARACTERS) throw new RangeError('it writes too much');
    this.buffer += text;
  }
}

/** What a filter is called with. */
interface FilterThis {
  readonly context: Context;
}

/** A filter that makes a text of a value. */
function making(make: (value: unknown) => string): (this: FilterThis, value: unknown) => string {
  return function (value) {
    const text = make(value);
    this.context.memoryLimit.use(text.length);
    return text;
  };
}

function digest(algorithm: string): (this: FilterThis, value: unknown) => string {
  return function (value) {
    const text = written(value);
    this.context.memoryLimit.use(text.length);
    // The hash of nothing would be the same for everybody who has no value.
    return text === '' ? '' : hash(algorithm, text, 'hex');
  };
}

/** `{% skip %}` */
class SkipTag extends Tag {
  readonly #reason: Value | undefined;

  constructor(token: TagToken, remaining: ConstructorParameters<typeof Tag>[1], liquid: Liquid) {
    super(token, remaining, liquid);
    this.tokenizer.skipBlank();
    if (!this.tokenizer.end()) this.#reason = new Value(this.tokenizer.readFilteredValue(), liquid);
  }

  *render(context: Context): Generator<unknown, void, unknown> {
    const reason = this.#reason === undefined ? '' : written(yield this.#reason.value(context, false));
    throw new TemplateSkipped(reason.slice(0, REASON_LENGTH).toWellFormed());
  }

  *arguments(): Generator<Value> {
    if (this.#reason !== undefined) yield this.#reason;
  }
}

/** Tags that read files. */
const FILE_TAGS = ['include', 'render', 'layout', 'block'];
/** Filters that read a text, which may be a person's, as an expression; and two that write JSON in their own way. */
const OTHER_FILTERS = /_exp$|^inspect$|^sample$/;

/** As LiquidJS does it, counting what it searches. */
function* contains(text: unknown, part: unknown, context: Context): Generator<unknown, boolean, unknown> {
  const searched = Array.isArray(text) ? text.length : typeof text === 'string' ? text.length / SEARCHED_IN_STEP : 0;
  if (context instanceof BoundedContext) context.step(Math.ceil(searched));
  return (yield defaultOperators['contains']?.(text, part, context)) === true;
}

/** A filter that counts the entries of the list that it goes through. */
function counted(filter: FilterImplOptions): FilterImplOptions {
  const { handler, raw = false } = typeof filter === 'function' ? { handler: filter } : filter;
  return {
    raw,
    handler(value, ...args) {
      if (Array.isArray(value) && this.context instanceof BoundedContext) this.context.step(value.length);
      return handler.call(this, value, ...args) as unknown;
    },
  };
}

function createLiquid(outputEscape?: (value: unknown) => string): Liquid {
  const liquid = new Liquid({
    strictFilters: true,
    ownPropertyOnly: true,
    templates: {},
    // Times are the same on every machine.
    timezoneOffset: 'UTC',
    locale: 'en-US',
    parseLimit: TEMPLATE_LENGTH,
    memoryLimit: MOST_CHARACTERS,
    renderLimit: MOST_MS,
    operators: { ...defaultOperators, contains },
    ...(outputEscape === undefined ? {} : { outputEscape }),
  });
  for (const name of FILE_TAGS) delete liquid.tags[name];
  for (const name of Object.keys(liquid.filters)) if (OTHER_FILTERS.test(name)) liquid.unregisterFilter(name);
  liquid.registerTag('skip', SkipTag);
  liquid.registerFilter('json', making(writtenJson));
  liquid.registerFilter('jsonify', making(writtenJson));
  liquid.registerFilter(
    'base64',
    making((value) => Buffer.from(written(value)).toString('base64')),
  );
  for (const algorithm of ['sha256', 'sha1', 'md5']) liquid.registerFilter(algorithm, digest(algorithm));
  for (const [name, filter] of Object.entries(liquid.filters)) liquid.registerFilter(name, counted(filter));
  // Captures get a text of their own, which would otherwise have no bound.
  const { renderer } = liquid;
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  renderer.renderTemplates = (templates, context, emitter) => {
    if (!(context instanceof BoundedContext)) throw new TypeError('A rendering without bounds.');
    context.step();
    return renderTemplates(templates, context, emitter ?? new BoundedText(context));
  };
  return liquid;
}

const forText = createLiquid();

/** What `encodeURIComponent` leaves, and RFC 3986 reserves. */
const percentEncoded = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

const encoded = (value: unknown): string => {
  const text = written(value);
  return text === '' ? EMPTY_VALUE : encodeURIComponent(text.toWellFormed()).replaceAll(/[!'()*]/g, percentEncoded);
};
const forUrls = createLiquid(encoded);
// What it captures is encoded already, and would be once more where it is written.
delete forUrls.tags['capture'];
forUrls.registerFilter('raw', {
  raw: true,
  handler: (value: unknown) => (written(value) === '' ? EMPTY_VALUE : value),
});

/** Reads what stands in a batch, of which nothing can be skipped. */
const forBatches = createLiquid();
delete forBatches.tags['skip'];

/** Calls LiquidJS, and says in our words what it throws. */
function trying<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cause: unknown = Reflect.get(error, 'originalError') ?? error;
    if (cause instanceof TemplateSkipped) throw cause;
    throw new TemplateFailed(`${placeOf(error)}${reasonOf(cause)}`);
  }
}

function placeOf(error: Error): string {
  if (!LiquidError.is(error)) return '';
  const [line, column] = error.token.getPosition();
  return `Line ${line}, column ${column}: `;
}

function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : '';
  const plain = message.replace(/(?:, line:\d+, col:\d+)?$/, '').slice(0, REASON_LENGTH);
  const [, filter] = /^undefined filter: (.*)$/s.exec(plain) ?? [];
  if (filter !== undefined) return `there is no filter "${filter}". ${advice(filter, Object.keys(forText.filters))}`;
  if (plain === 'tag "skip" not found')
    return 'with "batch", a request is about several people, and skip about one. Leave people out by the audience or by "events".';
  if (plain === 'tag "capture" not found')
    return 'capture would encode a value twice in a URL. Use assign, and write the name of what it assigns.';
  if (OUT_OF_TIME.test(plain)) return 'it takes too long';
  return plain === 'memory alloc limit exceeded' ? 'it takes too much memory' : plain;
}
