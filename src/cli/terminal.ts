import type { Readable } from 'node:stream';
import { styleText } from 'node:util';
import ora, { type Ora } from 'ora';
import { codeOf } from '../domain/errors.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
/** Colours a text if colours are wanted; otherwise leaves it unchanged. */
export type Paint = (style: Style, text: string) => string;

/** The input and output of a command. */
export interface Terminal {
  /** A person sees the output live; it may be redrawn. */
  readonly interactive: boolean;
  /** Width of a line in characters. */
  readonly columns: number;
  readonly paint: Paint;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** One line (or several) of result. */
  out(text: string): void;
  /** Text besides the result: warnings, progress, errors. */
  err(text: string): void;
  /** Replaces the lines of the last `redraw`; only if `interactive`. */
  redraw(lines: readonly string[]): void;
}

export const plain: Paint = (_style, text) => text;

const DEFAULT_COLUMNS = 80;

/** The process's own terminal. */
export function processTerminal(): Terminal {
  const { stdout, stderr, stdin, env } = process;
  const interactive = stdout.isTTY;
  const colours = interactive && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb';
  let drawn = 0;
  return {
    interactive,
    // A terminal without a size (under `script`, expect or CI) says 0.
    columns: (interactive && stdout.columns) || DEFAULT_COLUMNS,
    paint: colours ? (style, text) => styleText(style, text) : plain,
    stdin,
    out: (text) => void stdout.write(`${text}\n`),
    err: (text) => void stderr.write(`${text}\n`),
    redraw(lines) {
      const up = drawn === 0 ? '' : `\u001B[${drawn}A`;
      stdout.write(`${up}\u001B[J${lines.join('\n')}\n`);
      drawn = lines.length;
    },
  };
}

/** Shows a person that something takes time. It stays off on a terminal without a size, where it would redraw forever. */
export function spinnerOn({ interactive }: Terminal, json: boolean): Ora | undefined {
  return !json && interactive && process.stderr.columns > 0 ? ora({ stream: process.stderr }) : undefined;
}

/** A person pressed Ctrl-C, or the process was asked to end. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Aborts `signal` when the person presses Ctrl-C or the process is asked to end; a second time ends the process as usual. */
export function interruption(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const dispose = (): void => {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  };
  const interrupt = (): void => {
    dispose();
    controller.abort(new Interrupted('It was interrupted.'));
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return { signal: controller.signal, dispose };
}

/** Resolves when `signal` is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Could not listen on a port that another program uses: exit code 1. */
class PortTaken extends Error {
  override readonly name = 'PortTaken';
  readonly port: number;
  constructor(host: string, port: number, option: string, options?: ErrorOptions) {
    super(`Port ${port} on ${host} is taken. Choose another with ${option} (0: any free port).`, options);
    this.port = port;
  }
}

/**
 * A server that is starting.
 * @throws PortTaken
 */
export async function listening<T>(
  server: Promise<T>,
  { host, port, option = '--port' }: { host: string; port: number; option?: string },
): Promise<T> {
  try {
    return await server;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') throw new PortTaken(host, port, option, { cause: error });
    throw error;
  }
}
