import { type DestinationStream, type Logger, pino } from 'pino';
import type { CoreConfig } from '../config/core-config.ts';
import { EVENTS_AHEAD } from '../domain/errors.ts';

/**
 * The fields that a line may have besides its message: ids, kinds and counts of the SDK and ours. Any other field could contain anything, such as a
 * payload or a secret.
 */
const FIELDS: ReadonlySet<string> = new Set(
  [
    'sdkComponent target namespace taskQueue state status size durationMs attempt',
    'workflowId workflowType workflowRunId runId workflowExists updateId updateName',
    'activityId activityType activityRunId isLocal ifaceName fnName',
    'verdict code deliveryId count url',
    'reason turns slice holder holders n problem authorizations jobId alert text',
    'row topic partition offset ingest audiences',
  ].flatMap((names) => names.split(' ')),
);
/** Most characters of one string. */
const TEXT_LENGTH = 4000;
/** Most errors in a chain that are logged: an error, its cause, the cause of that, and so on. */
const ERRORS = 5;

/**
 * The log of a worker, in JSON lines. Besides the message, it writes only known fields that are strings, numbers, booleans or lists of these. An error
 * has only its name, code, message and stack, and those of its causes. Other fields are listed under `omitted`, without their values.
 */
export function createLog(level: CoreConfig['logLevel'], destination: DestinationStream): Logger {
  const serializers = { err: (error: unknown) => shownError(error, ERRORS) };
  return pino({ level, base: null, serializers, formatters: { log: shownFields } }, destination);
}

/** Whether a line of the SDK is about a query that came too early: it is asked again, so nobody has to do anything. */
export function isOfEarlyQuery(fields: Readonly<Record<string, unknown>>): boolean {
  return Object.values(fields).some(
    (value) => (typeof value === 'string' || value instanceof Error) && String(value).includes(EVENTS_AHEAD),
  );
}

function shownFields(fields: Record<string, unknown>): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  const omitted: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'err')
      shown[name] = value; // Its serializer comes after this.
    else if (FIELDS.has(name) && isPlain(value)) shown[name] = shortened(value);
    else if (value !== undefined) omitted.push(name);
  }
  return omitted.length === 0 ? shown : { ...shown, omitted };
}

/** Returns only these parts of an error: SDKs and drivers attach requests, payloads and settings to their errors. */
function shownError(error: unknown, errors: number): object {
  if (typeof error !== 'object' || error === null) return { message: shortened(String(error)) };
  const { name, code, message, stack, cause } = error as Partial<Record<string, unknown>>; // Anything can be thrown.
  const fields = Object.entries({ name, code, message, stack }).filter(([, value]) => isPlain(value));
  return {
    ...Object.fromEntries(fields.map(([key, value]) => [key, shortened(value)])),
    ...(cause === undefined || errors <= 1 ? {} : { cause: shownError(cause, errors - 1) }),
  };
}

function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((item) => !Array.isArray(item) && isPlain(item));
  return ['string', 'number', 'bigint', 'boolean'].includes(typeof value);
}

function shortened(value: unknown): unknown {
  return typeof value === 'string' && value.length > TEXT_LENGTH ? `${value.slice(0, TEXT_LENGTH)}…` : value;
}
