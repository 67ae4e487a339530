import { CommanderError } from '@commander-js/extra-typings';
import {
  NotLetIn,
  ProblemsError,
  PublishInterrupted,
  PushInterrupted,
  ServerUnreachable,
  TriggersError,
} from '../client/calls/errors.ts';
import { ConfigError } from '../config/problems.ts';
import type { Problem } from '../contract/export-job.ts';
import { printable } from '../domain/text.ts';
import { InvalidPayloadKeys } from '../temporal/encrypting-codec.ts';
import { remedyLines, wrap } from './text.ts';
import { problemLines } from './render-jobs.ts';
import type { Terminal } from './terminal.ts';

/** The command was used wrongly: exit code 2, and the message says how to use it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The endpoint did not accept the message, or could not be reached: exit code 1. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
}

/** `triggers doctor` found something that has failed: exit code 1. */
export class NotHealthy extends Error {
  override readonly name = 'NotHealthy';
  constructor() {
    super('Something has failed: each line above says what to do.');
  }
}

/** The problems of a job file, or of a job without one. */
export interface FileProblems {
  readonly file: string;
  readonly problems: readonly Problem[];
}

/** Job files are wrong, or their jobs are not possible as described. Nothing was started, changed or stopped. */
export class InvalidJobFiles extends Error {
  override readonly name = 'InvalidJobFiles';
  readonly files: readonly FileProblems[];
  constructor(files: readonly FileProblems[]) {
    const lines = files.flatMap(({ file, problems }) => [
      `${file}:`,
      ...problems.map(({ field, message }) => `  ${field || 'job'}: ${message}`),
    ]);
    super([NOTHING_DONE, ...lines].join('\n'));
    this.files = files;
  }
}

const NOTHING_DONE = 'Nothing was started, changed or stopped, since not all of it can be:';

/** The request was done in part, or its outcome is unknown in part: exit code 1. */
export class PartlyDone extends Error {
  override readonly name = 'PartlyDone';
  readonly done: number;
  /** Without those whose outcome is unknown. */
  readonly failed: number;
  readonly unknown: number;
  constructor(message: string, done: number, failed: number, unknown = 0) {
    super(message);
    this.done = done;
    this.failed = failed;
    this.unknown = unknown;
  }
}

/** 0: it was done. 1: it could not be done. 2: wrong usage, or a wrong job, trigger or configuration. */
export type ExitCode = 0 | 1 | 2;

/** Prints a failed command's error, and returns its exit code. With `json` the failure is one JSON object on stderr. */
export function reportFailure(thrown: unknown, terminal: Terminal, json: boolean): ExitCode {
  // Commander has already printed everything, unless it was told to leave errors to this.
  if (thrown instanceof CommanderError && (thrown.exitCode === 0 || !json)) return thrown.exitCode === 0 ? 0 : 2;
  const error = knownError(thrown);
  if (json) terminal.err(JSON.stringify({ error: asJson(error) }));
  else for (const line of failureLines(error, terminal)) terminal.err(line);
  return exitCodeOf(error);
}

function knownError(thrown: unknown): unknown {
  if (thrown instanceof CommanderError) return new UsageError(thrown.message.replace(/^error: /, ''));
  if (thrown instanceof TriggersError) return thrown;
  return NotLetIn.of(thrown) ?? ServerUnreachable.of(thrown) ?? thrown;
}

function exitCodeOf(error: unknown): ExitCode {
  const reason = error instanceof PushInterrupted || error instanceof PublishInterrupted ? error.cause : error;
  if (reason instanceof TriggersError) return (reason.constructor as typeof TriggersError).exitCode; // It is a class of those.
  return [InvalidJobFiles, UsageError, ConfigError, InvalidPayloadKeys].some((kind) => reason instanceof kind) ? 2 : 1;
}

function failureLines(error: unknown, { columns, paint }: Terminal): string[] {
  if (error instanceof ProblemsError)
    return [
      ...wrap(error.headline, columns).map((line) => paint('red', line)),
      ...problemLines(error.problems, columns),
    ];
  if (error instanceof InvalidJobFiles)
    return [
      ...wrap(NOTHING_DONE, columns).map((line) => paint('red', line)),
      ...error.files.flatMap(({ file, problems }) => [`${printable(file)}:`, ...problemLines(problems, columns)]),
    ];
  const shown = (line: string): string[] => wrap(printable(line), columns);
  return [
    ...messageOf(error)
      .split('\n')
      .flatMap(shown)
      .map((line) => paint('red', line)),
    ...remedyLines(error).flatMap(shown),
  ];
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Compared by name, because only commands that connect load the SDK's classes.
  if (error.name === 'NamespaceNotFoundError')
    return `${error.message}. Set TEMPORAL_NAMESPACE to one that the server has, or create it there.`;
  // The SDK keeps the server's message in the cause.
  const { cause } = error;
  const more = error.name === 'ServiceError' && cause instanceof Error ? `: ${cause.message}` : '';
  return error.message + more;
}

/** An error's name, message and data, without causes, which may contain anything. */
function asJson(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { cause: _cause, stack: _stack, failures: _failures, ...data } = { ...error } as Record<string, unknown>;
  return { ...data, name: error.name, message: messageOf(error) };
}
