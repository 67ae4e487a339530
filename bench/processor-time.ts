import { readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second. */
const TICKS_PER_S = 100;

/** The processor time, in µs, that each process has had up to now (Linux; elsewhere there are none). Rates vary with what else a machine does; these hardly do. */
export function processorUs(pids: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  const read = (pid: number): number => {
    // Its name, in brackets, may have spaces.
    const [, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/.*\) /);
    const [user = 0, system = 0] = fields.join('').split(' ').slice(11, 13).map(Number);
    return ((user + system) * 1e6) / TICKS_PER_S;
  };
  try {
    return Object.fromEntries(
      Object.entries(pids).map(([name, some]) => [name, some.map(read).reduce((a, b) => a + b, 0)]),
    );
  } catch {
    return {};
  }
}
