import type { HalvedBatches, SliceTrigger } from '../contract/slice.ts';

export interface BatchQueueOptions {
  /** The triggers of one person are adjacent, and in order. */
  readonly triggers: readonly Pick<SliceTrigger, 'user' | 'event' | 'batchMost'>[];
  /** The most triggers in a batch. */
  readonly size: number;
  /** Whether enters and exits go in batches of their own. */
  readonly isByEvent: boolean;
}

/** The result of offering a trigger to a batch: it is in, it is not to be sent, or the batch is full without it. */
type Taken = 'in' | 'out' | 'full';

/** Somebody's triggers in the slice that are not settled. */
interface Person {
  /** Place of the oldest. */
  next: number;
  /** After the youngest. */
  end: number;
}

/**
 * Puts the triggers of a slice together in batches, named by their places. A person is in one batch at a time, in order, and in the next
 * one only after the first was delivered. Each trigger of a refused batch goes again, in a batch of at most half as many. After a few of
 * these, whatever the endpoint cannot accept is alone.
 */
export class BatchQueue {
  readonly #options: BatchQueueOptions;
  readonly #most = new Map<number, number>();
  /** The halved ones that were in a request. */
  readonly #requested = new Set<number>();
  readonly #people: Person[] = [];
  /** By the places of their triggers. */
  readonly #personAt: Person[] = [];

  constructor(options: BatchQueueOptions) {
    const { triggers } = options;
    this.#options = options;
    for (const [place, { user, batchMost }] of triggers.entries()) {
      if (batchMost !== undefined) this.#most.set(place, batchMost);
      const before = this.#personAt[place - 1];
      const isSame = before !== undefined && user === triggers[place - 1]?.user;
      const person = isSame ? before : { next: place, end: place };
      this.#personAt.push(person);
      person.end = place + 1;
      if (!isSame) this.#people.push(person);
    }
  }

  /** How many people wait to be put into a batch. A person may wait again after a delivery. */
  get people(): number {
    return this.#people.length;
  }

  get isEmpty(): boolean {
    return this.#people.length === 0;
  }

  /**
   * Takes the next batch and returns the places of its triggers, in order; empty when nobody is left.
   * @param offer is called for each trigger that could be in it; after one that is out, that person sends no other.
   */
  next(offer: (place: number) => Taken): number[] {
    const places: number[] = [];
    const left: Person[] = [];
    let most = this.#options.size;
    let event: string | undefined;
    let isFull = false;
    let offered = 0;
    for (const person of this.#people) {
      if (isFull) break;
      offered++;
      const from = places.length;
      let isOut = false;
      while (!isFull && !isOut && person.next < person.end) {
        const place = person.next;
        const own = Math.min(most, this.#mostAt(place));
        if (places.length + 1 > own || !this.#fitsEvent(place, event)) break;
        const taken = offer(place);
        isFull = taken === 'full';
        isOut = taken === 'out';
        if (isOut) person.end = place;
        if (taken !== 'in') break;
        places.push(place);
        person.next++;
        most = own;
        event ??= this.#options.triggers[place]?.event;
        isFull = places.length >= most;
      }
      if (places.length === from && !isOut) left.push(person);
    }
    // Most batches are of one.
    if (offered === 1 && left.length === 0) this.#people.shift();
    else this.#people.splice(0, offered, ...left);
    return places;
  }

  /** Drops a trigger that was taken, and all later ones of its person. */
  leaveOut(place: number): void {
    const person = this.#personAt[place];
    if (person !== undefined) person.end = place;
  }

  /** Records that a batch was delivered: later triggers of its people may go. */
  delivered(places: readonly number[]): void {
    this.#putFirst(places);
  }

  /**
   * Splits a batch of more than one that was refused.
   * @param wasRequested whether the endpoint refused it; else no request could be made of it.
   */
  halve(places: readonly number[], wasRequested = true): void {
    const most = Math.ceil(places.length / 2);
    for (const place of places) {
      this.#most.set(place, most);
      if (wasRequested) this.#requested.add(place);
      const person = this.#personAt[place];
      if (person !== undefined) person.next = Math.min(person.next, place);
    }
    this.#putFirst(places);
  }

  /** The places that go in smaller batches than the slice was dispatched for, each with the most triggers in such a batch. */
  get halved(): HalvedBatches {
    const { triggers } = this.#options;
    return [...this.#most]
      .filter(([place, most]) => most !== triggers[place]?.batchMost)
      .map(([place, most]) => (this.#requested.has(place) ? [place, most] : [place, most, true]));
  }

  #putFirst(places: readonly number[]): void {
    const people: Person[] = [];
    for (const place of places) {
      const person = this.#personAt[place];
      // In a batch, the triggers of one person are adjacent.
      if (person !== undefined && person.next < person.end && person !== people.at(-1)) people.push(person);
    }
    if (people.length > 0) this.#people.unshift(...people);
  }

  #mostAt(place: number): number {
    return this.#most.get(place) ?? this.#options.size;
  }

  #fitsEvent(place: number, event: string | undefined): boolean {
    return !this.#options.isByEvent || event === undefined || event === this.#options.triggers[place]?.event;
  }
}
