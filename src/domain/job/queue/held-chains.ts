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

  /** Takes out the chain that is due first of those that are wanted. */
  take(isWanted: (chain: Chain) => boolean = () => true): Chain | undefined {
    const passed: HeldEntry[] = [];
    let found: HeldEntry | undefined;
    while (found === undefined && this.nextDue !== undefined) {
      const entry = this.#queue.pop();
      if (entry === undefined) break;
      if (isWanted(entry.chain)) found = entry;
      else passed.push(entry);
    }
    for (const entry of passed) this.#queue.push(entry);
    return found?.chain;
  }

  /** Takes out the chain that is due first and whose oldest trigger is here, another than that of `except` if there is one. */
  takeWhole(except: string | undefined): Chain | undefined {
    const passed: HeldEntry[] = [];
    let found: HeldEntry | undefined;
    let last: HeldEntry | undefined;
    while (found === undefined && this.nextDue !== undefined) {
      const entry = this.#queue.pop();
      if (entry === undefined) break;
      if (entry.chain.parked !== undefined) passed.push(entry);
      else if (entry.chain.user === except) last = entry;
      else found = entry;
    }
    if (found !== undefined && last !== undefined) passed.push(last);
    for (const entry of passed) this.#queue.push(entry);
    return (found ?? last)?.chain;
  }
}

function isTrue({ chain, notBefore }: HeldEntry): boolean {
  return chain.place === 'held' && chain.notBefore === notBefore;
}
