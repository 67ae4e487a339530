import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';

/** The parts of an answer that Lytics' own webhook does not send as fields of the person. */
const NOT_SENT: ReadonlySet<string> = new Set(['_uid', 'segments', 'segments_all']);
/** Fields of every account that its webhook sends as numbers, or as numbers by name, and its API as texts. */
const NUMBERS = /^(score_\w+|hourly|hourofweek|_split|_cust_sz|_internal_sz|_total_sz|_num_\w+)$/;
/** A number that its text expresses exactly: no exponent, no leading zeros, nothing else. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;

/**
 * The fields of a person as Lytics' own webhook would send them: the API writes numbers as texts. Only fields that are known to be numbers
 * become numbers, since a postcode is digits too.
 *
 * @param numberFields names of the account's own fields that hold numbers, or objects of them.
 */
export function profileOf(row: JsonObject, numberFields: ReadonlySet<string>): JsonObject {
  const profile: Record<string, Json> = Object.create(null) as Record<string, Json>; // A field may have any name, "__proto__" too.
  for (const [name, value] of Object.entries(row)) {
    if (!NOT_SENT.has(name)) profile[name] = numberFields.has(name) || NUMBERS.test(name) ? numbersOf(value) : value;
  }
  return { ...profile };
}

function numbersOf(value: Json): Json {
  if (!isRecord(value)) return numberOf(value);
  const entries = Object.entries(value).map(([name, item]) => [name, numberOf(item)] as const);
  return Object.fromEntries(entries);
}

/** A text that is a number becomes that number, digit for digit; any other stays as it is. */
function numberOf(value: Json): Json {
  if (typeof value !== 'string' || !NUMBER.test(value)) return value;
  const number = Number(value);
  if (value.includes('.')) return String(number) === value ? number : value;
  return Number.isSafeInteger(number) ? number : BigInt(value);
}
