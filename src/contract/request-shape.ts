import { z } from 'zod';
import { type Answers, answersSchema } from './answers.ts';
import type { TriggerEvent } from './trigger.ts';

/** Methods by which a job may send. */
const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'GET'] as const;
export type Method = (typeof METHODS)[number];

/** Most characters of a template. It goes with every slice, so with each it costs its length in a job's history. */
export const TEMPLATE_LENGTH = 16_384;
const HEADER_VALUE_LENGTH = 1000;
const MOST_HEADERS = 50;

/** Headers that the worker sets, or that belong to the connection (RFC 9110, RFC 9112, Standard Webhooks, W3C Trace Context). */
export const RESERVED_HEADERS =
  /^(content-.*|user-agent|webhook-.*|traceparent|tracestate|host|connection|transfer-encoding|expect|upgrade|keep-alive|te|trailer|http2-settings|proxy-.*)$/i;
/** A token of RFC 9110, 5.6.2. */
export const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const CREDENTIALS = /^(authorization|cookie)$/i;
/** The characters that a header's value may have. */
const ASCII = /^[\t\x20-\x7e]*$/;
const NO_ASCII =
  'The value of a header may have no characters but those of ASCII. Encode it, or have a template do it: {{ audience.name | url_encode }}.';
/** RFC 9110, 8.3.1: a type, a subtype, and parameters. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[\x20-\x21\x23-\x7e]*"))*$/;
const OTHER_CHARSET = /;\s*charset=(?!"?utf-?8"?\s*(?:;|$))/i;

/** Any other text is sent as it is. */
function isTemplate(text: string): boolean {
  return /\{[{%]/.test(text);
}

export const MISSING_URL = 'Give the webhook URL that receives the messages, such as https://example.com/hook.';

const NO_WEB_ADDRESS = 'The webhook URL is not a web address. It should look like https://example.com/hook.';
// URL parsers also find a host where this shape is not kept (`https:///me:secret@host`), and with it a password that was not checked for.
const WEB_ADDRESS = /^https?:\/\/[^/?#\\]/i;

const NO_HOST =
  'The webhook URL has a host name that cannot exist: its parts, between dots, have 1 to 63 characters each, and all of it at most 253.';
// A name that DNS can hold (RFC 1035, section 2.3.4), with or without the root's dot; or an IPv6 address in brackets.
const HOST = /^(?:\[.*\]|(?=.{1,253}\.?$)[^.]{1,63}(?:\.[^.]{1,63})*\.?)$/;

const TEMPLATED_HOST = 'The host of a webhook URL cannot be a template; only its path and query can be.';
const HAS_TEMPLATED_HOST = /^[^/]*\/\/[^/?#]*\{[{%]/;

/** Characters that a URL loses when it is parsed, or that parsing changes. */
export const MANGLED = /[\s\p{Cc}\\]/u;
/** The message about a URL with such a character, after a name for the URL. */
export const IS_MANGLED =
  'has a blank, a line break, another control character or a backslash in it, which would not be sent as it is. Write %20 for a blank, and %5C for a backslash.';
const DOTS =
  'The webhook URL has a segment "." or ".." in its path, which would not be sent as it is. Write the path that is meant.';
const HAS_DOTS = /^[^/]*\/\/[^?#]*?\/(?:\.|%2e){1,2}(?:[/?#]|$)/i;

// Whether the worker may send there is checked by the worker (in prepareJob, and again at every request); this is the form's part. No
// message repeats a URL, because anybody who knows it may be able to send to it.
export const webhookUrl = z
  .string({ error: 'The webhook URL must be text.' })
  .trim()
  .min(1, MISSING_URL)
  .max(2048, 'The webhook URL must have at most 2048 characters.')
  .refine((url) => !HAS_TEMPLATED_HOST.test(url), { error: TEMPLATED_HOST, abort: true })
  // Before it is parsed, since parsing removes some of these.
  .refine((url) => !WEB_ADDRESS.test(url) || isTemplate(url) || !MANGLED.test(url), {
    error: `The webhook URL ${IS_MANGLED}`,
    abort: true,
  })
  .pipe(z.url({ protocol: /^https?$/, error: NO_WEB_ADDRESS, abort: true }).regex(WEB_ADDRESS, NO_WEB_ADDRESS))
  .pipe(z.url({ hostname: HOST, error: NO_HOST }))
  .refine((url) => !/^[^/]*\/\/[^/?#]*@/.test(url), {
    error:
      'The webhook URL must not contain a user name or password. Put them into an authorization in the worker\'s configuration, and name that in "authorization".',
    abort: true,
  })
  .refine((url) => !url.includes('#'), {
    error:
      'The webhook URL must not contain a #: what follows it is never sent to a server. Leave it out, or write %23 if it belongs to a value.',
  })
  .refine((url) => !HAS_DOTS.test(url), DOTS);

const headers = z
  .record(
    z.string(),
    z
      .string({ error: 'The value of a header must be text.' })
      .max(HEADER_VALUE_LENGTH, `The value of a header must have at most ${HEADER_VALUE_LENGTH} characters.`)
      .regex(/^[^\r\n]*$/, { error: 'The value of a header must be one line.', abort: true })
      .refine((value) => isTemplate(value) || ASCII.test(value), NO_ASCII),
    { error: 'Headers must be an object of names and values, such as {"x-list": "7"}.' },
  )
  .superRefine((value, context) => {
    const names = Object.keys(value);
    for (const [index, name] of names.entries()) {
      const message = wrongName(name, names.slice(0, index));
      if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message });
    }
    if (names.length > MOST_HEADERS)
      context.addIssue({ code: 'custom', message: `Give at most ${MOST_HEADERS} headers.` });
  });

function wrongName(name: string, before: readonly string[]): string | undefined {
  if (!HEADER_NAME.test(name)) return 'This is not a valid header name.';
  if (/^content-type$/i.test(name)) return 'Say it as "contentType".';
  if (CREDENTIALS.test(name))
    return 'This header is a secret. Put it into an authorization in the worker\'s configuration, and name that in "authorization".';
  if (RESERVED_HEADERS.test(name)) return 'The worker sets this header itself.';
  if (before.some((other) => other.toLowerCase() === name.toLowerCase())) return 'This header is given twice.';
  return undefined;
}

const shape = {
  /** How it is sent. */
  method: z.enum(METHODS, { error: `The method must be one of ${METHODS.join(', ')}.` }),
  /** Further headers, by name; each value a template. At most 50. Not secret. */
  headers,
  /** The type of the body. */
  contentType: z
    .string({ error: 'The content type must be text, such as application/json.' })
    .trim()
    .max(200, 'The content type must have at most 200 characters.')
    .regex(MEDIA_TYPE, 'The content type must look like application/json, or text/plain; charset=utf-8.')
    .refine(
      (contentType) => !OTHER_CHARSET.test(contentType),
      'The body is sent in UTF-8. Say charset=utf-8, or leave the charset out.',
    )
    .refine(
      (contentType) => !/^multipart\//i.test(contentType) || /;\s*boundary=/i.test(contentType),
      'Multipart needs a boundary. Give the one that "body" uses: multipart/form-data; boundary=x.',
    ),
  /** A template of the body; empty: none is sent. */
  body: z
    .string({ error: 'The body must be text: a template, such as "{\\"email\\": {{ data.email | json }}}".' })
    .max(TEMPLATE_LENGTH, `The body must have at most ${TEMPLATE_LENGTH} characters.`),
};

const ofEvent = z
  .strictObject(
    {
      webhookUrl: webhookUrl.nullish(),
      method: shape.method.nullish(),
      headers: shape.headers.nullish(),
      contentType: shape.contentType.nullish(),
      body: shape.body.nullish(),
      answers: answersSchema.nullish(),
    },
    { error: 'Give an object with the fields that differ, such as {"method": "DELETE"}.' },
  )
  .nullable()
  .default(null);

/** The fields of the form that shape a request. */
export const requestShapeFields = {
  /** How requests are sent; null: by POST. */
  method: shape.method.nullable().default(null),
  /** Further headers, by name, not secret; each value a template. At most 50. */
  headers: shape.headers.nullable().default(null),
  /** The type of the body; null: `application/json`. */
  contentType: shape.contentType.nullable().default(null),
  /** A template of the body, at most 16384 characters; null: the default body; empty: none. */
  body: shape.body.nullable().default(null),
  /** Differences for enters. */
  onEnter: ofEvent,
  /** Differences for exits. */
  onExit: ofEvent,
  /** The envelope around the body; null: none. */
  envelope: z
    .literal('cloudevents', { error: 'The envelope must be "cloudevents", or null for none.' })
    .nullable()
    .default(null),
};

/** The differences of one event's requests from the job's. Absent and null: as the job has it. */
export interface EventShape {
  readonly webhookUrl?: string | null | undefined;
  readonly method?: Method | null | undefined;
  readonly headers?: Readonly<Record<string, string>> | null | undefined;
  readonly contentType?: string | null | undefined;
  readonly body?: string | null | undefined;
}

/** All settings that one event may have. */
interface EventFields extends EventShape {
  /** Meanings of answers, by status; others mean what they mean to the job. */
  readonly answers?: Answers | null | undefined;
}

/** A job's settings of its requests. */
export interface RequestSettings extends Omit<EventShape, 'webhookUrl'> {
  readonly onEnter?: EventFields | null | undefined;
  readonly onExit?: EventFields | null | undefined;
  readonly envelope?: 'cloudevents' | null | undefined;
}

/** The settings that a slice needs. */
export interface RequestShape extends RequestSettings {
  /** Label of the job, which templates may name. */
  readonly label: string;
}

/** The requests of one event, with every default filled in. */
export interface EffectiveShape {
  readonly webhookUrl: string;
  readonly method: Method;
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string;
  /** A template; `default`: the default body; null: none. */
  readonly body: { readonly template: string } | 'default' | null;
}

export const JSON_TYPE = 'application/json';

/** The requests of an event: as it says itself, or else as its job does, or else by default. */
export function effectiveShape(
  job: RequestSettings & { readonly webhookUrl: string },
  event: TriggerEvent,
): EffectiveShape {
  const own = (event === 'enter' ? job.onEnter : job.onExit) ?? {};
  const method = own.method ?? job.method ?? 'POST';
  const body = own.body ?? job.body ?? null;
  const hasDefault = method !== 'GET' && (method !== 'DELETE' || job.envelope != null);
  return {
    webhookUrl: own.webhookUrl ?? job.webhookUrl,
    method,
    headers: own.headers ?? job.headers ?? {},
    contentType: own.contentType ?? job.contentType ?? JSON_TYPE,
    body: body === null ? (hasDefault ? 'default' : null) : body === '' ? null : { template: body },
  };
}

/** Returns the field of the form that sets this for the requests of an event: the event's own, or the job's. */
export function fieldSaying(
  { onEnter, onExit }: Pick<RequestSettings, 'onEnter' | 'onExit'>,
  event: TriggerEvent,
  field: keyof EventShape,
): string {
  const [own, name] = event === 'enter' ? [onEnter, 'onEnter'] : [onExit, 'onExit'];
  return own?.[field] == null ? field : `${name}.${field}`;
}

/** `application/x-www-form-urlencoded` */
export function isForm(contentType: string): boolean {
  return /^application\/x-www-form-urlencoded\b/i.test(contentType);
}

function isJson(contentType: string): boolean {
  return /^[^;]*[/+]json\s*(?:;|$)/i.test(contentType);
}

/** Returns the kind of a request's body, as far as it matters to a template of it. A form is made from JSON. */
export function bodyKind(contentType: string, envelope: RequestSettings['envelope']): 'json' | 'xml' | 'text' {
  if (envelope === 'cloudevents' || isJson(contentType) || isForm(contentType)) return 'json';
  return /^[^;]*[/+]xml\s*(?:;|$)/i.test(contentType) ? 'xml' : 'text';
}

function isOwn(body: EffectiveShape['body']): boolean {
  return body !== 'default' && body !== null;
}

/** Returns request settings of a job that contradict each other. */
export function shapeProblems(
  job: RequestSettings & { readonly webhookUrl: string; readonly batch: object | null },
): { readonly field: string; readonly message: string }[] {
  const found = new Map<string, { readonly field: string; readonly message: string }>();
  for (const event of ['enter', 'exit'] as const) {
    const own = event === 'enter' ? job.onEnter : job.onExit;
    const { method, contentType, body } = effectiveShape(job, event);
    const hasType = (own?.contentType ?? job.contentType ?? null) !== null;
    const problems: [field: 'method' | 'contentType' | 'body', message: string | false][] = [
      ['method', method === 'GET' && bodilessProblem(job, body)],
      [
        'contentType',
        job.envelope != null && hasType && 'The envelope has a content type of its own. Leave "contentType" out.',
      ],
      [
        'body',
        method !== 'GET' && job.envelope != null && body === null && 'There must be a body to put an envelope around.',
      ],
      [
        'body',
        job.batch !== null &&
          method !== 'GET' &&
          body === null &&
          'A batch is a body. Say in "body" what it looks like, or leave "batch" out.',
      ],
      [
        'body',
        job.batch !== null &&
          job.envelope != null &&
          isOwn(body) &&
          'In a batch, the envelope is put around the default body of each. Leave "body" out, or the envelope.',
      ],
      [
        'contentType',
        body === 'default' &&
          isForm(contentType) &&
          'A form is made from a JSON object of its values. Say in "body" which.',
      ],
      [
        'contentType',
        body === 'default' &&
          !isForm(contentType) &&
          !isJson(contentType) &&
          'The default body is JSON. Say in "body" what is sent instead.',
      ],
      ['body', method !== 'GET' && noJson(body, job.envelope != null ? JSON_TYPE : contentType)],
    ];
    for (const [field, message] of problems) {
      const place = fieldSaying(job, event, field);
      if (message !== false) found.set(place + message, { field: place, message });
    }
  }
  return [...found.values()];
}

/** Returns all reasons why a job cannot send by GET; false: it can. */
function bodilessProblem(
  { envelope, batch }: Pick<RequestSettings, 'envelope'> & { readonly batch: object | null },
  body: EffectiveShape['body'],
): string | false {
  const inTheWay = [
    ...(body === null ? [] : ['"body" (or give it as "")']),
    ...(envelope == null ? [] : ['"envelope"']),
    ...(batch === null ? [] : ['"batch"']),
  ];
  return inTheWay.length > 0 && `A GET has no body. Leave out ${inTheWay.join(' and ')}.`;
}

/** Returns why a body without placeholders can never be sent; false: it can. */
function noJson(body: EffectiveShape['body'], contentType: string): string | false {
  if (body === 'default' || body === null || isTemplate(body.template)) return false;
  if (!isJson(contentType) && !isForm(contentType)) return false;
  try {
    const value: unknown = JSON.parse(body.template);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isForm(contentType) && !isObject && 'A form is made from a JSON object of its values.';
  } catch {
    return `The body is not JSON, which ${isForm(contentType) ? 'a form is made from' : 'its content type says that it is'}.`;
  }
}

/** A field that is sent under another name. */
export interface RenamedField {
  /** A name or a dotted path, as in Export Fields. */
  readonly field: string;
  /** The name, or the dotted path, under which it is sent. */
  readonly as: string;
}

/** An entry of Export Fields: a field, or one that is sent under another name. */
export type ExportField = string | RenamedField;

const ALWAYS_SENT = 'segment_events';
/** Names that the message itself has in `data`. */
const OWN_NAMES = /^(segment_events|segments_all|_audience|_audience_action|_audience_friendly|_audience_name)$/;

/** Returns why names under which fields are sent are wrong, by their places. */
export function renamingProblems(
  fields: readonly ExportField[],
): { readonly index: number; readonly message: string }[] {
  const targets = fields.map((one) => (typeof one === 'string' ? one : one.as));
  return fields.flatMap((one, index) => {
    if (typeof one === 'string') return [];
    const problem = (message: string) => [{ index, message }];
    if (one.field === ALWAYS_SENT) return problem('It is always sent, and always under this name.');
    const parts = one.as.split('.');
    if (parts.includes('')) return problem('Between its dots, and around them, a name must not be empty.');
    if (OWN_NAMES.test(parts[0] ?? '')) return problem('The message has something of its own under this name.');
    const other = targets.find((target, place) => place !== index && overlaps(target, one.as));
    return other === undefined ? [] : problem(`"${other}" is sent there, too. Give each field a place of its own.`);
  });
}

/** Whether one of two paths leads to the other, or to a part of it. */
function overlaps(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}
