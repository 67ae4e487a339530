import { readFileSync } from 'node:fs';

const EVERY_MS = 1000;
const POINTS = 8;

/** Looks at the resident memory of processes while something goes on (Linux; elsewhere the curve is empty). */
export class MemoryCurve {
  readonly #mb: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pids: readonly number[]) {
    this.#timer = setInterval(() => {
      const mb = pids.reduce((sum, pid) => sum + residentMb(pid), 0);
      if (mb > 0) this.#mb.push(mb);
    }, EVERY_MS);
  }

  /** The most of each eighth of the time, in MB. */
  end(): number[] {
    clearInterval(this.#timer);
    const length = Math.ceil(this.#mb.length / POINTS);
    return Array.from({ length: POINTS }, (_, i) => this.#mb.slice(i * length, (i + 1) * length))
      .filter((part) => part.length > 0)
      .map((part) => Math.max(...part));
  }
}

/** Of a process; 0 where nobody can say. */
export function residentMb(pid: number): number {
  try {
    const [, kb = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Math.round(Number(kb) / 1024);
  } catch {
    return 0;
  }
}
