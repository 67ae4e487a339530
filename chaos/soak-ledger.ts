/**
 * What arrived of numbered triggers, in a bit each: a million of them need 125 KB. Trigger `i` is of person `i % people`, and the next
 * one of that person is `i + people`.
 */
export class SoakLedger {
  delivered = 0;
  /** Arrivals of a trigger after its first. */
  duplicates = 0;
  /** First arrivals after a younger trigger of the same person. */
  outOfOrder = 0;
  /** Arrivals that are none of the triggers. */
  unexpected = 0;
  readonly #triggers: number;
  readonly #seen: Uint8Array;
  /** The youngest arrival of each person. */
  readonly #youngest: Int32Array;

  constructor(triggers: number, people: number) {
    this.#triggers = triggers;
    this.#seen = new Uint8Array(Math.ceil(triggers / 8));
    this.#youngest = new Int32Array(people).fill(-1);
  }

  get lost(): number {
    return this.#triggers - this.delivered;
  }

  take(trigger: number): void {
    if (!(trigger >= 0 && trigger < this.#triggers)) {
      this.unexpected++;
      return;
    }
    const place = trigger >> 3;
    const bit = 1 << (trigger & 7);
    const bits = this.#seen[place] ?? 0;
    if ((bits & bit) !== 0) {
      this.duplicates++;
      return;
    }
    this.#seen[place] = bits | bit;
    this.delivered++;
    const person = trigger % this.#youngest.length;
    const youngest = this.#youngest[person] ?? -1;
    if (trigger < youngest) this.outOfOrder++;
    else this.#youngest[person] = trigger;
  }
}
