import type { JsonObject } from '../contract/trigger.ts';
import { stringifyJson } from '../domain/json.ts';
import { type Profile, profileIn } from '../domain/message.ts';

/** The bytes of a key, an entry and their share of the map. */
const ENTRY_BYTES = 200;

export interface ProfileCacheOptions {
  /** Most bytes of all profiles together. */
  readonly maxBytes: number;
  /** A profile that was read longer ago than this, in ms, is no longer used. 0: none is kept. */
  readonly maxAgeMs: number;
  readonly nowMs?: () => number;
}

/** Recently read profiles; the least recently used are dropped first. Kept as text, whose size is known. */
export class ProfileCache {
  readonly #maxBytes: number;
  readonly #maxAgeMs: number;
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, { readonly text: string; readonly readAtMs: number }>();
  #bytes = 0;

  constructor({ maxBytes, maxAgeMs, nowMs = () => performance.now() }: ProfileCacheOptions) {
    this.#maxBytes = maxBytes;
    this.#maxAgeMs = maxAgeMs;
    this.#nowMs = nowMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  set(user: string, profile: JsonObject): void {
    this.#delete(user);
    const text = this.#maxAgeMs === 0 ? undefined : textOf(profile);
    if (text === undefined || bytesOf(user, text) > this.#maxBytes) return;
    this.#entries.set(user, { text, readAtMs: this.#nowMs() });
    this.#bytes += bytesOf(user, text);
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#delete(oldest);
    }
  }

  get(user: string): Profile | undefined {
    const entry = this.#entries.get(user);
    if (entry === undefined) return undefined;
    if (this.#nowMs() - entry.readAtMs >= this.#maxAgeMs) {
      this.#delete(user);
      return undefined;
    }
    this.#entries.delete(user);
    this.#entries.set(user, entry);
    return profileIn(entry.text);
  }

  /** Divides these people into those whom it has and the others, each once. */
  split(users: readonly string[]): { readonly found: Map<string, Profile>; readonly others: readonly string[] } {
    const found = new Map<string, Profile>();
    const others = new Set<string>();
    for (const user of users) {
      const profile = this.get(user);
      if (profile === undefined) others.add(user);
      else found.set(user, profile);
    }
    return { found, others: [...others] };
  }

  #delete(user: string): void {
    const entry = this.#entries.get(user);
    if (entry === undefined) return;
    this.#entries.delete(user);
    this.#bytes -= bytesOf(user, entry.text);
  }
}

/** Undefined when it is nested too deep to be written. */
function textOf(profile: JsonObject): string | undefined {
  try {
    return stringifyJson(profile);
  } catch {
    return undefined;
  }
}

/** A text takes at most two bytes a character in memory. */
function bytesOf(user: string, text: string): number {
  return 2 * (user.length + text.length) + ENTRY_BYTES;
}
