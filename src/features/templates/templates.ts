import { hash } from 'node:crypto';
import {
  analyzeSync,
  CaseTag,
  type Context,
  defaultOperators,
  type FilterImplOptions,
  Liquid,
  LiquidError,
  Tag,
  type TagToken,
  type Template as LiquidTemplate,
  toValueSync,
  Value,
} from 'liquidjs';
import { nearestKey } from '../../contract/nearest-key.ts';
import { TEMPLATE_LENGTH } from '../../contract/request-shape.ts';
import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { isTemplate } from '../../domain/message.ts';
import {
  BoundedContext,
  BoundedText,
  Bounds,
  MOST_STEPS,
  OutOfTime,
  shareBounds,
  sharedTime,
} from './template-bounds.ts';
import { type Rendered, jsonFrom, neverJson, outputInQuotes } from './json-template.ts';
import {
  EMPTY_VALUE,
  encoded,
  inJson,
  inXml,
  joined,
  JSON_FILTERS,
  MOST_CHARACTERS,
  OWN_MEANING,
  piecesOf,
  type TemplateUse,
  written,
} from './template-values.ts';

/** The names that a template may use. */
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
  /** The default body. A template that writes it gives that body byte for byte. */
  readonly body: JsonObject;
}

/** The names that a template may use for each trigger of a batch. */
export type ItemScope = Omit<TemplateScope, 'now' | 'job'>;

/** The names that the template of a batch may use. */
export interface BatchScope extends Pick<TemplateScope, 'now' | 'job'> {
  /** The triggers that the request carries, in their order; empty outside of its body. */
  readonly items: readonly ItemScope[];
}

/** The names of a scope. Below `data` and `body` are the person's own names. */
type KnownFields = Readonly<Record<string, readonly string[] | 'any' | 'none'>>;

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
} as const satisfies Record<keyof TemplateScope, KnownFields[string]>;

/** The names for a batch: around it (URL and headers), and in its body. */
const KNOWN_OF_BATCH = { now: KNOWN.now, job: KNOWN.job } as const;
const KNOWN_IN_BATCH = { ...KNOWN_OF_BATCH, items: 'any' } as const satisfies Record<
  keyof BatchScope,
  KnownFields[string]
>;

/** A template or its result is wrong. The message says why, and never contains a value of the person. */
export class TemplateFailed extends Error {
  override readonly name = 'TemplateFailed';
  /** The wrong part of the text, with a caret below it at the place. It contains values of the person, and is only for people who ask to see them. */
  readonly excerpt: string | undefined;

  constructor(message: string, excerpt?: string) {
    super(message);
    this.excerpt = excerpt;
  }
}

/** `{% skip "reason" %}`: nothing is sent about this person. The message is the reason. */
export class TemplateSkipped extends Error {}

/** The same in a batch: make it without these of its `items`, each of which has its reason. */
export class ItemsOmitted extends Error {
  readonly reasons: ReadonlyMap<unknown, string>;

  constructor(reasons: ReadonlyMap<unknown, string>) {
    super();
    this.reasons = reasons;
  }
}

/** A template that was read. */
export interface Template {
  /**
   * @throws TemplateFailed with the line
   * @throws TemplateSkipped, ItemsOmitted
   */
  render(scope: TemplateScope | BatchScope): string;
}

/** Characters that `contains` searches in the time of a step, in the worst case. */
const SEARCHED_IN_STEP = 500;
const REASON_LENGTH = 200;

/**
 * Reads a template.
 * @throws TemplateFailed with the line when it cannot be read.
 */
export function readTemplate(source: string, use: TemplateUse): Template {
  if (!isTemplate(source)) return { render: () => source };
  const liquid = LIQUIDS[use];
  const parsed = trying(() => liquid.parse(source));
  const once = (scope: TemplateScope | BatchScope): string => {
    const bounds = new Bounds(scope, 'items' in scope ? scope.items.length : 0);
    const context = new BoundedContext(scope, bounds, liquid);
    const emitter = new BoundedText();
    try {
      toValueSync(liquid.renderer.renderTemplates(parsed, context, emitter));
      bounds.spendSteps();
    } finally {
      bounds.spendTime();
    }
    if (context.skipped.size > 0) throw new ItemsOmitted(context.skipped);
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
          // The machine may have slept, or been busy: that says nothing about the template.
          if (causeOf(error) instanceof OutOfTime) return once(scope);
          throw error;
        }
      }),
  };
}

/** The scope of a batch's body. It has the same bounds together with that around it. */
export function withItems(around: TemplateScope | BatchScope, items: readonly ItemScope[]): BatchScope {
  const inside = { ...around, items };
  shareBounds(around, inside);
  return inside;
}

/**
 * Why a template is wrong, for people, as far as that shows without a person. It checks the syntax, unknown names, values that could write JSON of
 * their own, and JSON that can never be valid.
 */
export function templateProblem(
  source: string,
  use: TemplateUse,
  {
    batch,
    data,
  }: {
    /** Its place in a batch; undefined: a request is about one person. */
    readonly batch?: 'body' | 'around' | undefined;
    /** The names that `data` has; undefined: any. */
    readonly data?: readonly string[] | undefined;
  } = {},
): string | undefined {
  try {
    const templates = trying(() => LIQUIDS[use].parse(source));
    if (batch === 'around') trying(() => aroundBatches.parse(source));
    const { globals, variables } = analyzeSync(templates, { partials: false });
    const known = knownFieldsIn(batch, data);
    for (const variable of Object.values(globals).flat()) {
      const unknown = unknownName(variable.segments, known);
      if (unknown !== undefined) return `Line ${variable.location.row}: ${unknown}`;
    }
    if (use !== 'json') return undefined;
    const quoted = outputInQuotes(templates);
    if (quoted !== undefined) return placed(quoted);
    const named = Object.values(variables).flatMap((all) => all.map(({ segments }) => segments));
    return neverJson(named, batch === 'body', rendererOf(source));
  } catch (error) {
    if (error instanceof TemplateFailed) return error.message;
    throw error;
  }
}

function placed({ template, why }: { readonly template: LiquidTemplate; readonly why: string }): string {
  const [line, column] = template.token.getPosition();
  return `Line ${line}, column ${column}: ${why}`;
}

/** Returns a function that gives a template's JSON for a scope. All scopes share the processor time of one request. */
function rendererOf(source: string): (scope: object) => Rendered {
  const template = readTemplate(source, 'json');
  const shareTime = sharedTime();
  return (scope) => {
    shareTime(scope);
    try {
      return { text: jsonFrom(template.render(scope as TemplateScope)) }; // It has all names that a template may use.
    } catch (error) {
      return error instanceof TemplateFailed ? { failed: error.message } : undefined;
    }
  };
}

function knownFieldsIn(batch: 'body' | 'around' | undefined, data: readonly string[] | undefined): KnownFields {
  if (batch !== undefined) return batch === 'body' ? KNOWN_IN_BATCH : KNOWN_OF_BATCH;
  return data === undefined ? KNOWN : { ...KNOWN, data };
}

function unknownName([root, next]: readonly unknown[], known: KnownFields): string | undefined {
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
  if (below === 'any' || typeof next !== 'string' || below.includes(next)) return undefined;
  if (below === 'none' && OWN_MEANING.test(next)) return undefined;
  if (below === 'none') return `"${root}" has nothing below it, such as "${next}".`;
  if (root === 'data') return `"exportFields" leaves "${next}" out, so it is not in "data". ${advice(next, below)}`;
  return `"${root}" has nothing called "${next}". ${advice(next, below)}`;
}

function advice(name: string, known: readonly string[]): string {
  const near = nearestKey(name, known);
  return near === undefined ? `There are: ${known.join(', ')}.` : `Did you mean "${near}"?`;
}

/** The `this` of a filter. */
interface FilterThis {
  readonly context: Context;
}

/** A filter that makes a text from a value. */
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
    const text = this.#reason === undefined ? '' : written(yield this.#reason.value(context, false));
    const reason = text.slice(0, REASON_LENGTH).toWellFormed();
    const { items } = context.environments as { readonly items?: readonly unknown[] };
    if (items === undefined) throw new TemplateSkipped(reason);
    // The current item of a loop, which its variable holds.
    const item = Object.values(context.getAll()).findLast((one) => items.includes(one));
    if (item === undefined)
      throw new TypeError('in a batch, skip stands in a loop over "items", and skips one of them');
    if (context instanceof BoundedContext) context.skipped.set(item, reason);
    context.continueCalled = true;
  }

  *arguments(): Generator<Value> {
    if (this.#reason !== undefined) yield this.#reason;
  }
}

/** Tags that read files. */
const FILE_TAGS = ['include', 'render', 'layout', 'block'];
/**
 * Filters that are not available. Some read a text, which may be a person's, as an expression. Two write JSON in their own way. `hmac_…` would need a
 * key in the job, where no key may be.
 */
const OTHER_FILTERS = /_exp$|^inspect$|^sample$|^hmac_/;

/** Does the same as LiquidJS, and counts the characters that it searches. */
function* contains(text: unknown, part: unknown, context: Context): Generator<unknown, boolean, unknown> {
  const searched = Array.isArray(text) ? text.length : typeof text === 'string' ? text.length / SEARCHED_IN_STEP : 0;
  if (context instanceof BoundedContext) context.step(Math.ceil(searched));
  return (yield defaultOperators['contains']?.(text, part, context)) === true;
}

/** Does the same as LiquidJS, and counts the entries that it compares. */
function* equals(left: unknown, right: unknown, context: Context): Generator<unknown, boolean, unknown> {
  if (context instanceof BoundedContext && (isObject(left) || isObject(right))) {
    if (Array.isArray(left) && Array.isArray(right)) context.step(left.length);
    // A list in a list, or an object that is compared with "empty", may take long.
    context.look();
  }
  return (yield defaultOperators['==']?.(left, right, context)) === true;
}

function* differs(left: unknown, right: unknown, context: Context): Generator<unknown, boolean, unknown> {
  return (yield equals(left, right, context)) !== true;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The steps that it takes to go through a value and all that is in it. Counting ends soon after `most`. */
function stepsThrough(value: unknown, most: number): number {
  if (!isObject(value)) return typeof value === 'string' ? 1 + value.length / SEARCHED_IN_STEP : 1;
  let steps = 1;
  for (const one of Object.values(value)) {
    if (steps > most) break;
    steps += stepsThrough(one, most - steps);
  }
  return steps;
}

/** `{% case %}`: a list or an object is compared with each value that a branch names. */
class BoundedCaseTag extends CaseTag {
  constructor(...args: ConstructorParameters<typeof CaseTag>) {
    super(...args);
    const { value: target, branches } = this;
    const evaluate = target.value.bind(target);
    const comparisons = branches.reduce((sum, { values }) => sum + values.length, 0);
    target.value = function* (context, lenient) {
      const value: unknown = yield* evaluate(context, lenient);
      if (isObject(value) && context instanceof BoundedContext)
        context.step(comparisons * stepsThrough(value, MOST_STEPS));
      return value;
    };
  }
}

/** Filters that take lists or objects. Any other filter would turn an object into the text "[object Object]". */
const OF_LISTS = new Set(
  'json json_or_omit jsonify base64 sha256 sha1 md5 default raw size first last join reverse sort sort_natural map where reject has find find_index group_by uniq compact concat push unshift pop shift slice sum array_to_sentence_string'.split(
    ' ',
  ),
);
/** The filters among them that make a list longer. Lists within lists could otherwise double with each of them. */
const GROWING = /^(?:concat|push|unshift)$/;
/** The filters among them that make a text from the entries of a list. */
const JOINING = /^(?:join|slice|array_to_sentence_string)$/;
const ARITHMETIC = /^(?:abs|at_least|at_most|ceil|divided_by|floor|minus|modulo|plus|round|sum|times|to_integer)$/;

/** A filter that reports values that it cannot take, and counts the entries of the list that it goes through. */
function bounded(name: string, filter: FilterImplOptions): FilterImplOptions {
  const { handler, raw = false } = typeof filter === 'function' ? { handler: filter } : filter;
  const isForText = !OF_LISTS.has(name);
  return {
    raw,
    handler(value, ...args) {
      const isList = Array.isArray(value);
      if (isList && this.context instanceof BoundedContext)
        this.context.step(GROWING.test(name) ? stepsThrough([value, ...args], MOST_STEPS) : value.length);
      if (
        (isForText && [value, ...args].some((one) => isRecord(one) || Array.isArray(one))) ||
        (JOINING.test(name) && hasObject(value))
      )
        throw new TypeError(
          `the filter "${name}" takes text, and this is an object or a list. Name a field of it, or put the filter json before`,
        );
      if (ARITHMETIC.test(name) && [value, ...args].some((one) => typeof one === 'bigint'))
        throw new RangeError(`the filter "${name}" takes integers up to 9007199254740991, and this one is larger`);
      return handler.call(this, value, ...args) as unknown;
    },
  };
}

function hasObject(value: unknown): boolean {
  return Array.isArray(value) ? value.some(hasObject) : isRecord(value);
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
    operators: { ...defaultOperators, contains, '==': equals, '!=': differs },
    ...(outputEscape === undefined ? {} : { outputEscape }),
  });
  for (const name of FILE_TAGS) delete liquid.tags[name];
  for (const name of Object.keys(liquid.filters)) if (OTHER_FILTERS.test(name)) liquid.unregisterFilter(name);
  liquid.registerTag('skip', SkipTag);
  liquid.registerTag('case', BoundedCaseTag);
  // Values that are JSON already are written into JSON as they are.
  for (const [name, make] of JSON_FILTERS)
    liquid.registerFilter(name, { handler: making(make), raw: outputEscape === inJson });
  for (const name of outputEscape === inXml ? ['escape', 'xml_escape'] : ['xml_escape'])
    liquid.registerFilter(name, { handler: making(inXml), raw: outputEscape === inXml });
  liquid.registerFilter(
    'base64',
    making((value) => Buffer.from(written(value)).toString('base64')),
  );
  for (const algorithm of ['sha256', 'sha1', 'md5']) liquid.registerFilter(algorithm, digest(algorithm));
  for (const [name, filter] of Object.entries(liquid.filters)) liquid.registerFilter(name, bounded(name, filter));
  // Captures get a text of their own, which would otherwise be unlimited.
  const { renderer } = liquid;
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  renderer.renderTemplates = (templates, context, emitter) => {
    if (!(context instanceof BoundedContext)) throw new TypeError('A rendering without bounds.');
    return renderTemplates(templates, context, emitter ?? new BoundedText());
  };
  return liquid;
}

const LIQUIDS: Readonly<Record<TemplateUse, Liquid>> = {
  text: createLiquid(),
  url: createLiquid(encoded),
  json: createLiquid(inJson),
  xml: createLiquid(inXml),
};
// A captured text is encoded already, and writing it would encode it again.
delete LIQUIDS.url.tags['capture'];
LIQUIDS.url.registerFilter('raw', {
  raw: true,
  handler: (value: unknown) => (written(value) === '' ? EMPTY_VALUE : value),
});

/** Reads the templates around a batch, which cannot skip anyone. */
const aroundBatches = createLiquid();
delete aroundBatches.tags['skip'];

/** Calls LiquidJS, and reports its errors in our words. */
function trying<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cause = causeOf(error);
    if (cause instanceof TemplateSkipped || cause instanceof ItemsOmitted) throw cause;
    throw new TemplateFailed(`${placeOf(error)}${reasonOf(cause)}`);
  }
}

/** The error that LiquidJS has wrapped, or the error itself. */
function causeOf(error: unknown): unknown {
  return error instanceof Error ? (Reflect.get(error, 'originalError') ?? error) : error;
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
  if (filter?.startsWith('hmac_') === true)
    return `there is no filter "${filter}", since its key would stand in the job. An authorization signs: docs/authorizations.md.`;
  if (filter !== undefined)
    return `there is no filter "${filter}". ${advice(filter, Object.keys(LIQUIDS.text.filters))}`;
  if (plain === 'tag "skip" not found')
    return 'with "batch", a request is about several people, and skip about one. Only the body can skip one of its "items".';
  if (plain === 'tag "capture" not found')
    return 'capture would encode a value twice in a URL. Use assign, and write the name of what it assigns.';
  return plain === 'memory alloc limit exceeded' ? 'it takes too much memory' : plain;
}
