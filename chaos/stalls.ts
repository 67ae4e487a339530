/** A time in which this process stood still, and perhaps the whole machine. Epoch ms. */
export interface Stall {
  readonly fromMs: number;
  readonly toMs: number;
}

/** How far two processes' views of one moment may lie apart on one busy machine, in ms. */
export const SLACK_MS = 250;
const TICK_MS = 50;

/** Records when this process stands still. Its endpoints then see neither what arrives nor what ends. */
export class StallWatch {
  readonly stalls: Stall[] = [];
  #lastMs = Date.now();
  readonly #timer = setInterval(() => this.#tick(), TICK_MS);

  #tick(): void {
    const nowMs = Date.now();
    if (nowMs - this.#lastMs >= SLACK_MS) this.stalls.push({ fromMs: this.#lastMs, toMs: nowMs });
    this.#lastMs = nowMs;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Returns the earliest moment at which a request can have come that was seen then. */
export function earliestMs(seenMs: number, stalls: readonly Stall[]): number {
  const held = stalls.filter(({ fromMs, toMs }) => fromMs <= seenMs && seenMs <= toMs + SLACK_MS);
  return Math.min(seenMs, ...held.map(({ fromMs }) => fromMs));
}

/** Returns the latest moment at which a sender can have learned of an answer that was given then: it may have stood still as well. */
export function latestMs(answeredMs: number, stalls: readonly Stall[]): number {
  const held = stalls.filter(({ fromMs, toMs }) => fromMs - SLACK_MS <= answeredMs && answeredMs <= toMs);
  return Math.max(answeredMs, ...held.map(({ toMs }) => toMs));
}
