import { Readable } from 'node:stream';
import { plain, type Terminal } from '../../src/cli/terminal.ts';

/** A terminal that remembers what was written. */
export function aTerminal(options: { interactive?: boolean; input?: string } = {}) {
  const written = { out: [] as string[], err: [] as string[], drawn: [] as (readonly string[])[] };
  const terminal: Terminal = {
    interactive: options.interactive ?? false,
    columns: 80,
    paint: plain,
    stdin: Readable.from(options.input === undefined ? [] : [options.input]),
    out: (text) => void written.out.push(text),
    err: (text) => void written.err.push(text),
    redraw: (lines) => void written.drawn.push(lines),
  };
  return { ...written, terminal };
}
