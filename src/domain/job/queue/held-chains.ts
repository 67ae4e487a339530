import type { Chain } from './chain.ts';
import TinyQueue from 'tinyqueue';

interface HeldEntry {
  readonly chain: Chain;
  readonly notBefore: number;
}

/** The held chains, in the order in which they are due. */
export class HeldChains {
  /** May contain outdated entries: a chain that is no longer held is not removed here. */
  readonly #queue = new TinyQueue<HeldEntry>([], (a, b) => a.notBefore - b.notBefore);

  add(chain: Chain, notBefore: number): void {
    this.#queue.push({ chain, notBefore });
  }

  /** When the first is due, epoch ms; undefined when none is held. */
  get nextDue(): number | undefined {
    for (let entry = this.#queue.peek(); entry !== undefined; entry = this.#queue.peek()) {
      if (isTrue(entry)) return entry.notBefore;
      this.#queue.pop();
    }
    return undefined;
  }

  /** Takes out the chain that is due first, another than that of `except` if there is one. */
  take(except?: string): Chain | undefined {
    if (this.nextDue === undefined) return undefined;
    const first = this.#queue.pop();
    if (first?.chain.user !== except || this.nextDue === undefined) return first?.chain;
    const second = this.#queue.pop();
    if (first !== undefined) this.#queue.push(first);
    return second?.chain;
  }
}

function isTrue({ chain, notBefore }: HeldEntry): boolean {
  return chain.place === 'held' && chain.notBefore === notBefore;
}
