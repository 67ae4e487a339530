import type { Chain, QueuedTrigger } from './chain.ts';

/** Parked triggers on their way to or from a holder. */
export class Parking {
  /** Number of the next holder. */
  next: number;
  /** What is leaving, by holder: whose chain, and which triggers. */
  readonly leaving = new Map<number, { readonly chain: Chain; readonly triggers: readonly QueuedTrigger[] }>();
  /** Chains whose triggers are being read back. */
  readonly coming = new Set<Chain>();

  constructor(next: number) {
    this.next = next;
  }

  /** Bytes that these bring into the chains. */
  get bytesComing(): number {
    let bytes = 0;
    for (const { parked } of this.coming) bytes += parked?.bytes ?? 0;
    return bytes;
  }

  isLeaving(chain: Chain): boolean {
    for (const one of this.leaving.values()) if (one.chain === chain) return true;
    return false;
  }
}

/** The part of a holder's id that names the content of a parked chain; others are plain numbers. */
export function parkedHolder(number: number): string {
  return `p${number}`;
}
