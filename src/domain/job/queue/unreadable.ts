/** A holder that could not be read; plain JSON. */
export interface UnreadableHolder {
  readonly name: string;
  /** Why, in words. */
  readonly reason: string;
  /** Epoch ms at which it could not be read for the first time. */
  readonly since: number;
  /** How often in a row. */
  readonly tries: number;
  /** Epoch ms before which it is not read again. */
  readonly retryAt: number;
  /** True: a person has decided that nothing waits for it. It is read again only when a person asks for that. */
  readonly isAside?: true;
  /** True for one that is set aside: a person asked for it to be read. */
  readonly isAsked?: true;
}

/** A holder that could not be read is read again after this long, in ms, then at twice the interval each time, … */
const FIRST_AGAIN_MS = 5_000;
/** … up to this. */
const MOST_AGAIN_MS = 10 * 60_000;
/** From this many failures in a row on, people are told: until then the server may just have been unhealthy. */
const TOLD_FROM_TRIES = 3;
/** Most that are remembered, and can be set aside; others are read again at the longest interval. */
const MOST = 50;
const REASON_LENGTH = 200;
/** Most bytes of one as it is carried: its reason, whatever its characters, and the rest. */
const BYTES = 3 * REASON_LENGTH + 150;

/** The holders that could not be read, and when they are read again. What waits behind them does so until they are read, or set aside. */
export class UnreadableHolders {
  readonly #holders: Map<string, UnreadableHolder>;
  /** Those that are being read because a person asked for it. */
  readonly #underWay = new Set<string>();

  constructor(carried: readonly UnreadableHolder[] = []) {
    this.#holders = new Map(carried.map((holder) => [holder.name, holder]));
  }

  get(name: string): UnreadableHolder | undefined {
    return this.#holders.get(name);
  }

  /** Those that people should know of. */
  get told(): UnreadableHolder[] {
    return [...this.#holders.values()].filter(({ tries, isAside }) => isAside === true || tries >= TOLD_FROM_TRIES);
  }

  /** Those of them for which something waits. */
  get awaited(): UnreadableHolder[] {
    return this.told.filter(({ isAside }) => isAside !== true);
  }

  get aside(): UnreadableHolder[] {
    return [...this.#holders.values()].filter(({ isAside }) => isAside === true);
  }

  /** Bytes that they take when carried, at most. */
  get bytes(): number {
    return this.#holders.size * BYTES;
  }

  isBarred(name: string, now: number): boolean {
    const holder = this.#holders.get(name);
    return holder !== undefined && (holder.isAside === true || holder.retryAt > now);
  }

  /** It could not be read, once more; returns when it is read again. */
  failed(name: string, reason: string, now: number): number {
    const before = this.#holders.get(name);
    const tries = (before?.tries ?? 0) + 1;
    const retryAt = now + Math.min(MOST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** Math.min(tries - 1, 20));
    if (before === undefined && this.#holders.size >= MOST) return now + MOST_AGAIN_MS;
    const { isAsked: _, ...rest } = before ?? {};
    this.#underWay.delete(name);
    this.#holders.set(name, {
      since: now,
      ...rest,
      name,
      reason: reason.slice(0, REASON_LENGTH),
      tries,
      retryAt,
    });
    return retryAt;
  }

  /** Nothing is to be read of it any more. */
  forget(name: string): void {
    this.#underWay.delete(name);
    this.#holders.delete(name);
  }

  setAside(name: string): void {
    const holder = this.#holders.get(name);
    if (holder !== undefined) this.#holders.set(name, { ...holder, isAside: true });
  }

  /** A person asks for it to be read now. */
  ask(name: string, now: number): void {
    const holder = this.#holders.get(name);
    if (holder === undefined) return;
    this.#holders.set(name, holder.isAside === true ? { ...holder, isAsked: true } : { ...holder, retryAt: now });
  }

  /** Takes the name of one that is set aside and is to be read now; what comes of it is told to `failed` or `forget`. */
  takeAsked(): string | undefined {
    for (const { name, isAsked } of this.#holders.values()) {
      if (isAsked !== true || this.#underWay.has(name)) continue;
      this.#underWay.add(name);
      return name;
    }
    return undefined;
  }

  carry(): readonly UnreadableHolder[] {
    return [...this.#holders.values()];
  }
}
