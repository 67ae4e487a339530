import { parseXml, XmlError } from '@rgrove/parse-xml';
import {
  bodyKind,
  type EffectiveShape,
  effectiveShape,
  fieldSaying,
  isForm,
  JSON_TYPE,
  type RequestShape,
} from '../contract/request-shape.ts';
import type { DeliverySettings, SliceTrigger } from '../contract/slice.ts';
import type { JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { doubledKey } from '../domain/json-scan.ts';
import { isRecord, jsonMistake, NO_NUMBER, parseJson, placeOfMistake, stringifyJson } from '../domain/json.ts';
import { isTemplate } from '../domain/message.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import type { RequestAuthorization } from './authorization.ts';
import { excerptOf, isJson, jsonFrom } from './json-template.ts';
import { MessageImpossible } from './request.ts';
import {
  type BatchScope,
  readTemplate,
  type Template,
  TemplateFailed,
  TemplateSkipped,
  type TemplateScope,
} from './templates.ts';
import { EMPTY_VALUE, speltAs } from './template-values.ts';

/** The URLs that a job sends to. */
export function destinationsOf(settings: DeliverySettings): readonly URL[] {
  if (settings.request === undefined) return [new URL(settings.webhookUrl)];
  return (['enter', 'exit'] as const).map((event) => destinationOf(settings, event));
}

/** Where the requests of an event go. If a URL has a template, only its origin matters. */
export function destinationOf({ webhookUrl, request }: DeliverySettings, event: TriggerEvent): URL {
  return new URL(effectiveShape({ ...request, webhookUrl }, event).webhookUrl);
}

/** The template of the URL that the requests of an event go to; undefined: it has none. */
export function urlTemplateOf({ webhookUrl, request }: DeliverySettings, event: TriggerEvent): string | undefined {
  const { webhookUrl: url } = effectiveShape({ ...request, webhookUrl }, event);
  return isTemplate(url) ? url : undefined;
}

/** A template, and the field of the form that it stands in. */
interface PlacedTemplate {
  readonly place: string;
  readonly template: Template;
}

type AnyScope = TemplateScope | BatchScope;

/** The shape of one event's requests, ready for use. */
export interface ReadShape extends Pick<EffectiveShape, 'method' | 'contentType'> {
  readonly url: (scope: () => AnyScope) => URL;
  readonly headers: readonly (PlacedTemplate & { readonly name: string })[];
  readonly body: PlacedTemplate | 'default' | null;
  /** Whether it has templates, and which of the costly parts of a scope they may name. */
  readonly isTemplated: boolean;
  readonly wantsData: boolean;
  readonly wantsBody: boolean;
}

/** A job's settings for its requests, with their URL. */
export type RequestSpec = RequestShape & { readonly webhookUrl: string };
type Shapes = (event: TriggerEvent) => ReadShape;

/** Keyed by settings: a job has one entry for each revision, and a sample has its own. */
const known = new Map<string, Shapes>();
const MOST_KNOWN = 200;

/** Returns the shapes of each event's requests, and reads them once for each revision. */
export function shapesOf(spec: RequestSpec): Shapes {
  const key = JSON.stringify(spec);
  const found = known.get(key);
  if (found !== undefined) return found;
  const read = new Map<TriggerEvent, ReadShape>();
  const shapes: Shapes = (event) => {
    const before = read.get(event);
    if (before !== undefined) return before;
    const shape = readShape(spec, event);
    read.set(event, shape);
    return shape;
  };
  const [oldest] = known.keys();
  if (known.size >= MOST_KNOWN && oldest !== undefined) known.delete(oldest);
  known.set(key, shapes);
  return shapes;
}

function readShape(spec: RequestSpec, event: TriggerEvent): ReadShape {
  const shape = effectiveShape(spec, event);
  const placeOf = (field: 'webhookUrl' | 'headers' | 'body'): string => fieldSaying(spec, event, field);
  const { method, contentType, body } = shape;
  const sources = [shape.webhookUrl, ...Object.values(shape.headers), ...(isRecord(body) ? [body.template] : [])];
  const names = (name: string): boolean => sources.some((source) => source.includes(name) || source.includes('['));
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
    isTemplated: sources.some(isTemplate),
    wantsData: names('data'),
    wantsBody: names('body'),
  };
}

/** The origin and the rest. */
const ORIGIN = /^(https?:\/\/[^/?#\\]*)(.*)$/is;
const MOST_URL = 8192;
/** The URL parser drops some of these characters, and gives others a different meaning. */
const NOT_IN_URL = /[\p{Cc}\\#]/u;
const DOTS = /^(?:\.|%2e){1,2}$/i;

function readUrl(source: string, place: string): ReadShape['url'] {
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
export function headersOf(shape: ReadShape, scope: () => AnyScope, authorization: RequestAuthorization): string[] {
  return shape.headers.flatMap(({ name, place, template }) => {
    const value = at(place, () => headerOf(template.render(scope())));
    return value === '' || carries(authorization, name) ? [] : [name, value];
  });
}

/** A default body, as templates see it. */
export function readBody(text: string): JsonObject {
  return speltAs(parseJson(text) as JsonObject, text); // Both formats are objects.
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

/** Returns the text that a body's template gives, without an envelope; null: there is no template. */
export function bodyOf(
  { body, contentType }: Pick<ReadShape, 'body' | 'contentType'>,
  { envelope }: Pick<RequestShape, 'envelope'>,
  scope: () => AnyScope,
): string | null {
  if (body === null || body === 'default') return null;
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
export function cloudEvent(
  data: string,
  id: string,
  { user, event, at: time }: SliceTrigger,
  subscriptionId: string,
): string {
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
      throw new MessageImpossible(ATTEMPT_CODES.skipped, 'The template skips this person.', undefined, error.message);
    if (!(error instanceof TemplateFailed)) throw error;
    const reason = `${place}: ${error.message}`;
    throw new MessageImpossible(ATTEMPT_CODES.templateFailed, 'The template gives no request.', error, reason);
  }
}
