import { bodyKind, JSON_TYPE } from '../../contract/request-shape.ts';
import { isRecord } from '../../domain/json.ts';
import { isTemplate } from '../../domain/message.ts';
import type { RequestPart } from '../../webhook/shape.ts';
import type { TemplateUse } from './template-values.ts';
import { templateProblem } from './templates.ts';

interface Problem {
  readonly field: string;
  readonly message: string;
}

/** The problems of the templates in a part of a definition. The form's own rules report others. */
export function templateProblems(
  { prefix, fields: { webhookUrl, headers, body } }: RequestPart,
  definition: unknown,
): Problem[] {
  const isInBatches = isRecord(definition) && isRecord(definition['batch']);
  const data = isRecord(definition) ? namesOfData(definition) : undefined;
  const problem = (field: string, source: unknown, use: TemplateUse): Problem[] => {
    if (typeof source !== 'string' || !isTemplate(source)) return [];
    const batch = isInBatches ? (field === 'body' ? 'body' : 'around') : undefined;
    const message = templateProblem(source, use, { batch, data });
    return message === undefined ? [] : [{ field: prefix + field, message }];
  };
  return [
    ...problem('webhookUrl', webhookUrl, 'url'),
    ...Object.entries(isRecord(headers) ? headers : {}).flatMap(([name, value]) =>
      problem(`headers.${name}`, value, 'text'),
    ),
    ...kindsOf(definition, prefix)
      .flatMap((kind) => problem('body', body, kind))
      .slice(0, 1),
  ];
}

/** The kinds of text that this body is sent as, for either event. */
function kindsOf(definition: unknown, prefix: string): TemplateUse[] {
  if (!isRecord(definition)) return [];
  const { envelope, events, contentType } = definition;
  const kinds = (['enter', 'exit'] as const).flatMap((event) => {
    const name = event === 'enter' ? 'onEnter' : 'onExit';
    const own = isRecord(definition[name]) ? definition[name] : {};
    const isThere = prefix === (own['body'] == null ? '' : `${name}.`);
    if (!isThere || (Array.isArray(events) && !events.includes(event))) return [];
    const type = own['contentType'] ?? contentType ?? JSON_TYPE;
    return typeof type === 'string' ? [bodyKind(type, envelope === 'cloudevents' ? envelope : null)] : [];
  });
  return kinds.length === 0 ? ['text'] : [...new Set(kinds)];
}

/** The names in `data` for a template; undefined: all of a person's fields, or unknown. */
function namesOfData({ exportFields, memberships }: Readonly<Record<string, unknown>>): string[] | undefined {
  if (!Array.isArray(exportFields) || exportFields.length === 0) return undefined;
  const names = exportFields.map((one: unknown) => (isRecord(one) ? one['as'] : one));
  if (!names.every((name) => typeof name === 'string')) return undefined;
  return [
    ...new Set(names.flatMap((name) => [name.trim(), name.trim().split('.', 1)[0] ?? ''])),
    ...(memberships === true ? ['segments_all'] : []),
  ];
}
