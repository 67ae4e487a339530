import { hostname, userInfo } from 'node:os';
import { Command, type CommandUnknownOpts, type OptionValues } from '@commander-js/extra-typings';
import type { Terminal } from './terminal.ts';
import { sentences } from './text.ts';
import type { JobClient } from '../client/job-client.ts';
import { JobNotFound, ServerUnreachable } from '../client/calls/errors.ts';
import { withNearName } from '../client/near-names.ts';
import { MOST_WHO } from '../domain/requests.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../config/file.ts';

/** Makes a command that belongs to a terminal. */
export type CommandMaker = (terminal: Terminal) => CommandUnknownOpts;

/** The parts of a command that differ between commands; this module adds the rest. */
interface CommandTerms<Args extends unknown[], Options extends OptionValues> extends Help {
  readonly name: string;
  readonly description: string;
  /** Adds its arguments and options. */
  readonly takes?: (command: Command) => Command<Args, Options>;
  /** The text after "print JSON for machines", such as ": the status". */
  readonly json?: string;
  readonly run: (args: Args, options: Options, invocation: Invocation<keyof Options & string>) => void | Promise<void>;
}

interface Help {
  /** Things to know before using it, in lines of at most 80 characters. */
  readonly notes?: string;
  /** Command lines; one may be followed by lines about it. */
  readonly examples: readonly [string, ...string[]];
}

/** One use of a command, which has the options `Option`. */
export interface Invocation<Option extends string = never> {
  readonly terminal: Terminal;
  /** A machine reads the results. */
  readonly json: boolean;
  /** Prints a sentence besides the result; with --json as one of the JSON lines on standard error. */
  readonly note: (text: string) => void;
  /** Prints a result: as JSON, or in words. Sentences are wrapped at the width of the terminal; lines are laid out already. */
  readonly print: (result: unknown, inWords: () => string | readonly string[]) => void;
  /** Prints several results: as JSON one a line, or all of them in words. */
  readonly printEach: (results: readonly unknown[], inWords: () => string | readonly string[]) => void;
  /** The options given on the command line, with their values. */
  readonly givenOptions: Readonly<Record<string, unknown>>;
  /** Whether the option was given on the command line. Commander also gives a value to one that was only declared for its negation. */
  readonly isGiven: (option: Option) => boolean;
}

/** A command with `--json` and examples in its help. */
export function command<Args extends unknown[] = [], Options extends OptionValues = Record<string, never>>({
  name,
  description,
  takes,
  json = '',
  run,
  ...help
}: CommandTerms<Args, Options>): CommandMaker {
  return (terminal) => {
    const bare = new Command(name).description(description);
    // A command without `takes` has no arguments and no options.
    const taking = takes === undefined ? (bare as unknown as Command<Args, Options>) : takes(bare);
    const made = taking.option('--json', `print JSON for machines${json}`).addHelpText('after', helpText(help));
    return made.action(async () => {
      const { json: isJson, ...options }: OptionValues = made.opts();
      const isGiven = (option: string): boolean => made.getOptionValueSource(option) === 'cli';
      const givenOptions = Object.fromEntries(Object.entries(options).filter(([option]) => isGiven(option)));
      // Without `json`, the options are those that the command added.
      await run(made.processedArgs, options as Options, {
        ...invocation(terminal, isJson === true),
        givenOptions,
        isGiven,
      });
    });
  };
}

function invocation(terminal: Terminal, json: boolean): Omit<Invocation, 'givenOptions' | 'isGiven'> {
  const say = (words: string | readonly string[]): void => {
    if (typeof words === 'string') terminal.out(sentences(words, terminal));
    else for (const line of words) terminal.out(line);
  };
  return {
    terminal,
    json,
    note: (text) => terminal.err(json ? JSON.stringify({ msg: text }) : sentences(text, terminal)),
    print: (result, inWords) => (json ? terminal.out(JSON.stringify(result)) : say(inWords())),
    printEach(results, inWords) {
      if (json) for (const result of results) terminal.out(JSON.stringify(result));
      else say(inWords());
    },
  };
}

/** A command that only contains others. */
export function commandGroup({
  name,
  description,
  parts,
  usual,
  ...help
}: Help & {
  readonly name: string;
  readonly description: string;
  readonly parts: readonly [CommandMaker, ...CommandMaker[]];
  /** The name of the part that is meant where none is named. Default: none, and the help is shown. */
  readonly usual?: string;
}): CommandMaker {
  return (terminal) => {
    const made = parts.map((part) => part(terminal));
    const group = new Command(name).description(`${description}: ${made.map((part) => part.name()).join(', ')}`);
    for (const part of made) group.addCommand(part, { isDefault: part.name() === usual });
    const each = made.length === 1 ? 'It' : 'Each';
    const notes = `${each} takes --json and has more help: triggers ${name} ${made[0]?.name() ?? ''} --help`;
    return group.addHelpText('after', helpText({ notes, ...help }));
  };
}

function helpText({ notes, examples }: Help): string {
  const title = examples.length === 1 ? 'Example:' : 'Examples:';
  return `\n${notes === undefined ? '' : `${notes}\n\n`}${[title, ...examples].join('\n  ')}`;
}

/** How long to wait for a server that is away: until a time in terms of `performance.now()`, or until it is interrupted. */
export interface WaitForServer {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Called before each pause. */
  readonly onPause: () => void;
}

/**
 * Connects, lets `use` do its work, and closes.
 * @param wait default: fails at once if a server does not answer, since its address may be wrong
 */
export async function withJobs<T>(use: (jobs: JobClient) => Promise<T>, wait?: WaitForServer): Promise<T> {
  const taskQueue = configuredTaskQueue();
  const payloadKeys = configuredPayloadKeys();
  // Loaded here, so that help and usage errors do not wait for gRPC.
  const { JobClient } = await import('../client/job-client.ts');
  const { withRetries, unless } = await import('../client/calls/with-retries.ts');
  const connect = async () =>
    await JobClient.connect({ taskQueue, payloadKeys, by: { who: personHere(), door: 'cli' } });
  const mayHelp = (error: unknown) => error instanceof ServerUnreachable;
  const jobs =
    wait === undefined
      ? await connect()
      : await withRetries(() => unless(wait.signal, connect()), { ...wait, mayHelp });
  try {
    return await use(jobs);
  } catch (error) {
    throw await withNearName(error, jobs);
  } finally {
    await jobs.close();
  }
}

/** Says, for a job of which nothing was found, that there is no such job; undefined: there is one, or nobody knows. */
export async function unknownJob(jobId: string): Promise<string | undefined> {
  const error: unknown = await withJobs((jobs) => jobs.isRunning(jobId)).catch((problem: unknown) => problem);
  return error instanceof JobNotFound ? error.message : undefined;
}

/** `ada@laptop`, as jobs tell who did something; the host alone for a user without a name, as in some containers. */
export function personHere(): string {
  let user = '';
  try {
    user = `${userInfo().username}@`;
  } catch {
    // The system does not know this user.
  }
  return `${user}${hostname()}`.slice(0, MOST_WHO);
}
