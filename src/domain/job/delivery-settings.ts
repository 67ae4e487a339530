import type { KnownAnswers } from '../../contract/answers.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { DeliverySettings } from '../../contract/slice.ts';
import { isTemplate } from '../message.ts';
import type { JobRecord } from './job.ts';

/** The settings that the requests of a job are made with. */
export function deliverySettings({
  subscriptionId,
  revision,
  definition,
  requestTimeoutMs,
}: Pick<JobRecord, 'subscriptionId' | 'revision' | 'definition' | 'requestTimeoutMs'>): DeliverySettings {
  return {
    subscriptionId,
    revision,
    webhookUrl: definition.webhookUrl,
    authorization: definition.authorization,
    exportFields: definition.exportFields,
    userLegacyMessageFormat: definition.userLegacyMessageFormat,
    ...(definition.memberships ? { memberships: true } : {}),
    requestTimeoutMs,
    ...requestOf(definition),
    ...answersOf(definition),
    ...(definition.batch === null ? {} : { batch: { size: definition.batch.size } }),
  };
}

/** The request settings of a definition; nothing when each request is a POST of the default body to one URL, as most are. */
function requestOf(definition: JobDefinition): Pick<DeliverySettings, 'request'> {
  const { label, webhookUrl, method, headers, contentType, body, onEnter, onExit, envelope } = definition;
  const ofEvents = { onEnter: withoutAnswers(onEnter), onExit: withoutAnswers(onExit) };
  const said = definedOf({ method, headers, contentType, body, ...ofEvents, envelope });
  return isTemplate(webhookUrl) || Object.keys(said).length > 0 ? { request: { label, ...said } } : {};
}

/** The request settings of an event; null: none. */
export function withoutAnswers(own: JobDefinition['onEnter']): JobDefinition['onEnter'] {
  if (own?.answers === undefined) return own;
  const { answers: _, ...requests } = own;
  return Object.keys(requests).length === 0 ? null : requests;
}

function answersOf({ answers, onEnter, onExit }: JobDefinition): KnownAnswers {
  const own = (event: JobDefinition['onEnter']) => (event?.answers == null ? null : { ...answers, ...event.answers });
  const eventAnswers = definedOf({ enter: own(onEnter), exit: own(onExit) });
  return { ...definedOf({ answers }), ...(Object.keys(eventAnswers).length === 0 ? {} : { eventAnswers }) };
}

/** An object without its null fields. */
function definedOf<T extends object>(of: T): { readonly [Field in keyof T]?: Exclude<T[Field], null> } {
  // Only the fields that are not null are left.
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== null)) as {
    readonly [Field in keyof T]?: Exclude<T[Field], null>;
  };
}
