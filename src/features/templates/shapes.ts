import { parseXml, XmlError } from '@rgrove/parse-xml';
import {
  bodyKind,
  type EffectiveShape,
  effectiveShape,
  fieldSaying,
  isForm,
  JSON_TYPE,
  type RequestShape,
} from '../../contract/request-shape.ts';
import type { SliceTrigger } from '../../contract/slice.ts';
import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';
import { doubledKey } from '../../domain/json-scan.ts';
import { isRecord, jsonMistake, NO_NUMBER, parseJson, placeOfMistake, stringifyJson } from '../../domain/json.ts';
import { isTemplate, templateData } from '../../domain/message.ts';
import { nextAttempt } from '../../domain/slice.ts';
import { ATTEMPT_CODES } from '../../domain/verdict.ts';
import type { RequestAuthorization } from '../../webhook/authorization.ts';
import { MessageImpossible } from '../../webhook/request.ts';
import { ItemsSkipped, type RequestContent, type Shape, type Shapes, type ShapeSettings } from '../../webhook/shape.ts';
import { excerptOf, isJson, jsonFrom } from './json-template.ts';
import { templateProblems } from './template-problems.ts';
import { EMPTY_VALUE, speltAs } from './template-values.ts';
import {
  type BatchScope,
  ItemsOmitted,
  type ItemScope,
  readTemplate,
  type Template,
  TemplateFailed,
  type TemplateScope,
  TemplateSkipped,
  withItems,
} from './templates.ts';

/** A job's settings for its requests, with their URL. */
type RequestSpec = RequestShape & { readonly webhookUrl: string };

/** A template, and the field of the form that it stands in. */
interface PlacedTemplate {
  readonly place: string;
  readonly template: Template;
}

type AnyScope = TemplateScope | BatchScope;

/** The texts of one event's requests, ready for use. */
interface ReadTexts extends Pick<EffectiveShape, 'method' | 'contentType'> {
  readonly url: (scope: () => AnyScope) => URL;
  readonly headers: readonly (PlacedTemplate & { readonly name: string })[];
  readonly body: PlacedTemplate | 'default' | null;
}

/** Shapes by the job's own settings, in which URL, headers and body can be templates. */
export const TEMPLATED_SHAPES: Shapes = { of: shapesOf, problems: templateProblems };

/** Keyed by settings: a job has one entry for each revision, and a sample has its own. */
const known = new Map<string, (event: TriggerEvent) => Shape>();
const MOST_KNOWN = 200;

/** Returns the shapes of each event's requests, and reads them once for each revision. */
function shapesOf({ webhookUrl, request, subscriptionId, batch }: ShapeSettings): (event: TriggerEvent) => Shape {
  const spec = { label: '', ...request, webhookUrl };
  const key = JSON.stringify([spec, subscriptionId, batch !== undefined]);
  const found = known.get(key);
  if (found !== undefined) return found;
  const read = new Map<TriggerEvent, Shape>();
  const shapes = (event: TriggerEvent): Shape => {
    const before = read.get(event);
    if (before !== undefined) return before;
    const texts = readTexts(spec, event);
    const shape =
      batch === undefined ? shapeOfOne(spec, texts, subscriptionId) : shapeOfBatch(spec, texts, subscriptionId);
    read.set(event, shape);
    return shape;
  };
  const [oldest] = known.keys();
  if (known.size >= MOST_KNOWN && oldest !== undefined) known.delete(oldest);
  known.set(key, shapes);
  return shapes;
}

function shapeOfOne(spec: RequestSpec, texts: ReadTexts, subscriptionId: string): Shape {
  const { method, contentType, body } = texts;
  const job = { label: spec.label, subscription_id: subscriptionId };
  const wrapped = (text: string, { id, trigger }: RequestContent): string =>
    spec.envelope === 'cloudevents' ? cloudEvent(text, id, trigger, subscriptionId) : text;
  return {
    method,
    contentType,
    byDefault: body === 'default' ? (content) => wrapped(content.byDefault(), content) : undefined,
    make: ([content], authorization) => {
      if (content === undefined) throw new RangeError('A request is about somebody.');
      let made: TemplateScope | undefined;
      const scope = (): TemplateScope => (made ??= withJob(itemScope(content), content.parts.attemptAt, job));
      const url = texts.url(scope);
      const headers = headersOf(texts, scope, authorization);
      const text = bodyOf(texts, spec, scope);
      return { url, headers, body: typeof text === 'string' ? wrapped(text, content) : text };
    },
  };
}

/** CloudEvents, JSON Batch Format. */
const CLOUD_EVENTS = 'application/cloudevents-batch+json';

function shapeOfBatch(spec: RequestSpec, texts: ReadTexts, subscriptionId: string): Shape {
  const { method, body } = texts;
  const job = { label: spec.label, subscription_id: subscriptionId };
  const isEvent = spec.envelope === 'cloudevents';
  return {
    method,
    contentType: isEvent ? CLOUD_EVENTS : texts.contentType,
    byDefault:
      body === 'default'
        ? ({ byDefault, id, trigger }) => (isEvent ? cloudEvent(byDefault(), id, trigger, subscriptionId) : byDefault())
        : undefined,
    make: (contents, authorization) => {
      const around: BatchScope = { items: [], now: contents[0]?.parts.attemptAt ?? '', job };
      const scopes = new Map<unknown, RequestContent>();
      const inside = (): BatchScope => {
        for (const content of contents) scopes.set(itemScope(content), content);
        return withItems(around, [...scopes.keys()] as ItemScope[]); // It was filled with these alone.
      };
      try {
        return {
          url: texts.url(() => around),
          headers: headersOf(texts, () => around, authorization),
          body: bodyOf(texts, spec, inside),
        };
      } catch (error) {
        if (!(error instanceof ItemsOmitted)) throw error;
        throw new ItemsSkipped(
          new Map(
            [...error.reasons].flatMap(([one, why]) => {
              const content = scopes.get(one);
              return content === undefined ? [] : [[content, why] as const];
            }),
          ),
        );
      }
    },
  };
}

function readTexts(spec: RequestSpec, event: TriggerEvent): ReadTexts {
  const shape = effectiveShape(spec, event);
  const placeOf = (field: 'webhookUrl' | 'headers' | 'body'): string => fieldSaying(spec, event, field);
  const { method, contentType, body } = shape;
  return {
    method,
    contentType: spec.envelope == null ? contentType : 'application/cloudevents+json',
    url: readUrl(shape.webhookUrl, placeOf('webhookUrl')),
    headers: Object.entries(shape.headers).map(([name, value]) => {
      const place = `${placeOf('headers')}.${name}`;
      return { name, place, template: at(place, () => readTemplate(value, 'text')) };
    }),
    body: isRecord(body)
      ? {
          place: placeOf('body'),
          template: at(placeOf('body'), () => readTemplate(body.template, bodyKind(contentType, spec.envelope))),
        }
      : body,
  };
}

/** The origin and the rest. */
const ORIGIN = /^(https?:\/\/[^/?#\\]*)(.*)$/is;
const MOST_URL = 8192;
/** The URL parser drops some of these characters, and gives others a different meaning. */
const NOT_IN_URL = /[\p{Cc}\\#]/u;
const DOTS = /^(?:\.|%2e){1,2}$/i;

function readUrl(source: string, place: string): ReadTexts['url'] {
  if (!isTemplate(source)) {
    const url = new URL(source);
    return () => url;
  }
  const [, origin = '', rest = ''] = ORIGIN.exec(source) ?? [];
  const { origin: expected } = new URL(origin);
  const template = at(place, () => readTemplate(rest, 'url'));
  return (scope) => at(place, () => urlOf(origin, expected, rest, template.render(scope())));
}

/** The URL that a template gave. It must be one that its author can have meant, whatever its values are. */
function urlOf(origin: string, expected: string, source: string, rendered: string): URL {
  const [path = ''] = rendered.split('?', 1);
  // If a value is missing, the path leads elsewhere: to all members instead of one.
  if (path.includes(EMPTY_VALUE)) throw new TemplateFailed('a value in the path is empty');
  if (path.split('/').some((segment) => DOTS.test(segment)))
    throw new TemplateFailed('a segment of the path is "." or ".."');
  const text = rendered.replaceAll(EMPTY_VALUE, '');
  if (NOT_IN_URL.test(text)) throw new TemplateFailed('it has a character that cannot be in a URL');
  // Has a letter in place of each value; tags themselves write nothing.
  const [written = ''] = source
    .replaceAll(/\{%.*?%\}/gs, '')
    .replaceAll(/\{\{.*?\}\}/gs, 'x')
    .split('?', 1);
  const isEmptied = path.includes('//') && !written.includes('//');
  if (isEmptied || (/(?:^|\/)$/.test(path) && !/(?:^|\/)$/.test(written)))
    throw new TemplateFailed('a segment of the path is empty');
  if (text.length > MOST_URL) throw new TemplateFailed(`it has more than ${MOST_URL} characters`);
  const url = new URL(origin + text);
  if (url.origin !== expected) throw new TemplateFailed('it leads elsewhere');
  return url;
}

/** The headers that a job itself sets: name, value, name, value … */
function headersOf(shape: ReadTexts, scope: () => AnyScope, authorization: RequestAuthorization): string[] {
  return shape.headers.flatMap(({ name, place, template }) => {
    const value = at(place, () => headerOf(template.render(scope())));
    return value === '' || carries(authorization, name) ? [] : [name, value];
  });
}

/** The value as HTTP/1.1 allows it: one line of plain characters. */
function headerOf(rendered: string): string {
  const value = rendered.trim();
  if (/^[\t\x20-\x7e]*$/.test(value)) return value;
  throw new TemplateFailed(
    /[\r\n]/.test(value)
      ? 'the value of a header must be one line'
      : 'the value of a header may have no characters but those of ASCII (the filter url_encode makes such)',
  );
}

/** Whether an authorization has a header of this name, which then takes precedence. */
function carries({ headers }: RequestAuthorization, name: string): boolean {
  return headers.some((other, i) => i % 2 === 0 && other.toLowerCase() === name.toLowerCase());
}

/** Returns the text that a body's template gives, without an envelope; undefined: the body is the default one. */
function bodyOf(
  { body, contentType }: Pick<ReadTexts, 'body' | 'contentType'>,
  { envelope }: Pick<RequestSpec, 'envelope'>,
  scope: () => AnyScope,
): string | null | undefined {
  if (body === null) return null;
  if (body === 'default') return undefined;
  return at(body.place, () => {
    const rendered = body.template.render(scope());
    const kind = bodyKind(contentType, envelope);
    if (kind === 'xml') refuseNoXml(rendered);
    if (kind !== 'json') return rendered;
    const json = jsonFrom(rendered);
    if (!isJson(json)) throw notJson(json);
    return isForm(contentType) ? formOf(json) : json;
  });
}

function notJson(text: string): TemplateFailed {
  const { line, character } = jsonMistake(text);
  return new TemplateFailed(
    `the rendered body is not valid JSON (line ${line}, character ${character}). Write each value with the filter json, without quotes around it`,
    excerptOf(text, placeOfMistake(text)),
  );
}

function refuseNoXml(text: string): void {
  try {
    parseXml(text);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    const { line, column, pos } = error;
    throw new TemplateFailed(
      `the rendered body is not well-formed XML (line ${line}, character ${column})`,
      excerptOf(text, pos),
    );
  }
}

/** The values of a JSON object as a form: a list gives its name several times, null none. */
function formOf(text: string): string {
  const doubled = doubledKey(text, 1);
  if (doubled !== undefined)
    throw new TemplateFailed(`a form has "${doubled}" twice; a list gives a name several times`);
  const values = parseJson(text);
  if (!isRecord(values)) throw new TemplateFailed('a form is made from a JSON object of its values');
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (typeof one === 'object' && one !== null)
        throw new TemplateFailed(
          `the value of "${name}" in a form must be text, a number, true or false, or a list of such`,
        );
      if (typeof one === 'number' && !Number.isFinite(one)) throw new TemplateFailed(NO_NUMBER);
      if (one !== null) form.append(name, String(one));
    }
  }
  return form.toString();
}

/** CloudEvents 1.0 in structured mode, with the body as its data. */
function cloudEvent(data: string, id: string, { user, event, at: time }: SliceTrigger, subscriptionId: string): string {
  const attributes = {
    specversion: '1.0',
    id,
    source: `urn:audience-triggers:${subscriptionId}`,
    type: `audience.${event}`,
    subject: user,
    time,
    datacontenttype: JSON_TYPE,
  };
  return `${stringifyJson(attributes).slice(0, -1)},"data":${data}}`;
}

/** Names the place of a template that failed, and explains a template that gave no text. */
function at<T>(place: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof TemplateSkipped)
      throw new MessageImpossible(ATTEMPT_CODES.skipped, 'The template skips this person.', { reason: error.message });
    if (!(error instanceof TemplateFailed)) throw error;
    const reason = `${place}: ${error.message}`;
    throw new MessageImpossible(ATTEMPT_CODES.templateFailed, 'The template gives no request.', {
      cause: error,
      reason,
      excerpt: error.excerpt,
    });
  }
}

/** The names about a trigger. The costly ones are made only when a template reads them. */
function itemScope({ id, trigger, parts, byDefault }: RequestContent): ItemScope {
  const { user, event, at } = trigger;
  let data: JsonObject | undefined;
  let body: JsonObject | undefined;
  return {
    id: user,
    event,
    action: event === 'enter' ? 'entered' : 'exited',
    audience: parts.audience,
    at,
    delivery_id: id,
    attempt: nextAttempt(trigger),
    get data() {
      return (data ??= templateData(parts));
    },
    get body() {
      return (body ??= readBody(byDefault()));
    },
  };
}

/** The scope of a request about one trigger. */
function withJob(item: ItemScope, now: string, job: TemplateScope['job']): TemplateScope {
  return Object.assign(item, { now, job });
}

/** A default body, as templates see it. */
function readBody(text: string): JsonObject {
  return speltAs(parseJson(text) as JsonObject, text); // Both formats are objects.
}
