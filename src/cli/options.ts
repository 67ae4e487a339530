import { type CommandUnknownOpts, InvalidArgumentError, type Option } from '@commander-js/extra-typings';
import { readDuration } from '../contract/duration.ts';
import { parseInstant } from '../domain/instant.ts';
import { duration } from '../domain/text.ts';

/** Options whose value may be empty, which removes the previous value. */
const MAY_BE_EMPTY: readonly string[] = ['description'];

/**
 * Makes a command refuse options that commander accepts silently although they are probably mistakes. These are an option given twice where only one
 * value counts, and one beside its negation. Others are an empty value (`--job "$JOB"` with a variable that is not set), and a value that is the next
 * option (`--user --at …`).
 */
export function refuseDoubtfulOptions(command: CommandUnknownOpts): void {
  const optionsBefore = new Map<string, Option>();
  for (const option of command.options)
    command.on(`option:${option.name()}`, (value: unknown) => {
      const problem = doubtOf(option, value, optionsBefore.get(option.attributeName()), command.options);
      optionsBefore.set(option.attributeName(), option);
      if (problem !== undefined) command.error(`error: option '${option.flags}' ${problem}`);
    });
}

/** Why an option is probably a mistake, in words; undefined when it is not. */
function doubtOf(
  option: Option,
  value: unknown,
  before: Option | undefined,
  all: readonly Option[],
): string | undefined {
  if (before !== undefined && before.negate !== option.negate)
    return `contradicts '${before.flags}'. Give one of them.`;
  const takesValue = option.required || option.optional;
  if (before !== undefined && takesValue && option.parseArg !== collect) return 'is given twice. Give it once.';
  if (value === '' && !MAY_BE_EMPTY.includes(option.name())) return 'has an empty value.';
  const other = all.find(({ long, short }) => value !== undefined && (value === long || value === short));
  return other === undefined ? undefined : `has no value: the next word is the option '${other.flags}'.`;
}

/** The option of what changes something: why, as its history tells it. */
export const REASON = ['--reason <text>', 'why, as "triggers history" tells it'] as const;

/** For an option that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** For an option that is a time span, in ms, within these bounds. */
export function timeSpan(leastMs: number, mostMs: number): (value: string) => number {
  return (value) => {
    const ms = readDuration(value);
    if (ms === undefined || ms < leastMs || ms > mostMs)
      throw new InvalidArgumentError(
        `It must be a duration from ${duration(leastMs)} to ${duration(mostMs)}, such as 90s, 30m, 2h or 7d.`,
      );
    return ms;
  };
}

/** For an option that is a time in the past: a time ago, or RFC 3339. */
export function pastTime(value: string): Date {
  const time = anyTime(value);
  if (time.getTime() > Date.now()) throw new InvalidArgumentError('It must be in the past.');
  return time;
}

/** The same, or a time to come. */
export function anyTime(value: string): Date {
  const ms = readDuration(value);
  if (ms !== undefined) return new Date(Date.now() - ms);
  const instant = parseInstant(value);
  if (instant === undefined)
    throw new InvalidArgumentError(
      'It must be how long ago (30m, 2h, 7d; at most 365d) or an RFC 3339 time, such as 2026-12-01T14:00:00Z.',
    );
  return new Date(instant);
}

/** A webhook-id as it was shown somewhere: perhaps cut, or in capitals. */
export function asId(text: string): string {
  return text.toLowerCase().replace(/…$/, '');
}

/** For an option that is a rate, or another amount. */
export function positiveNumber(value: string): number {
  return positive(value, 'It must be a number above 0.');
}

/** For an option that is a rate of redeliveries: 10, or 10/s. */
export function redeliveryRate(value: string): number {
  return positive(value.replace(/\/s$/, ''), 'It must be a number above 0, such as 10/s.');
}

/** For an option that is a whole number of at least 0. */
export function wholeNumber(value: string): number {
  return within(value, 0, Number.MAX_SAFE_INTEGER, 'It must be a whole number, 0 or more.');
}

/** For an option that is how long an answer takes, in ms: at most a day: Node ends a timer of more than 24.8 days at once. */
export function answerDelay(value: string): number {
  return within(value, 0, 86_400_000, 'It must be a whole number of ms, from 0 to 86400000 (a day).');
}

/** For an option that is a share in percent. */
export function percent(value: string): number {
  return within(value, 1, 100, 'It must be a whole number of percent, from 1 to 100.');
}

/** For an option that is a number of people or things, at least one. */
export function countingNumber(value: string): number {
  return within(value, 1, Number.MAX_SAFE_INTEGER, 'It must be a whole number, 1 or more.');
}

/** For an option that is a port; 0: a free one. */
export function portNumber(value: string): number {
  return within(value, 0, 65_535, 'It must be a port: a whole number from 0 to 65535.');
}

/** For an option that is the address of a page. */
export function webUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const extra = url && url.username + url.password + url.search + url.hash;
  if (url === undefined || !/^https?:$/.test(url.protocol) || extra !== '')
    throw new InvalidArgumentError('It must be a URL such as http://localhost:8080, with nothing behind its path.');
  return url.href;
}

/** For an option that is the HTTP status of an answer. */
export function answerStatus(value: string): number {
  return within(value, 200, 599, 'It must be an HTTP status from 200 to 599.');
}

function positive(value: string, advice: string): number {
  const number = Number(value);
  if (!/^\d+(?:\.\d+)?$/.test(value) || number <= 0) throw new InvalidArgumentError(advice);
  return number;
}

function within(value: string, least: number, most: number, advice: string): number {
  const number = Number(value);
  // Digits alone: JavaScript also takes 0x10, 1e3 and spaces for numbers.
  if (!/^\d+$/.test(value) || number < least || number > most) throw new InvalidArgumentError(advice);
  return number;
}
