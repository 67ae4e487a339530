import { bytesToHex } from '@noble/hashes/utils.js';
import { undecodableReason } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { Arrival } from './arriving.ts';
import type { Step } from './deciding.ts';

/**
 * Whom a run had to do with, as a Bloom filter: it never denies anybody who was there, and takes about one stranger in a hundred for somebody
 * who was. It is carried to the next run, so it lies in the same history as the ids, encrypted as they are, and costs no event. A later form
 * needs a name of its own in what is carried.
 */
export interface PeopleFilter {
  /** How many bits each id sets. */
  readonly hashes: number;
  /** Hex. */
  readonly bits: string;
}

/** By itself, since the sandbox takes longer to look up a global, such as `Math`, than to hash ten letters. */
const { imul } = Math;

const BITS_PER_PERSON = 10;
/** 64 KiB as hex; from 26,000 people in one run on, more strangers are taken for one of them. */
const MOST_BITS = 2 ** 18;
const MOST_HASHES = 30;

/**
 * Collects whom a run has to do with: who is named in a signal, taken or refused, who is in a slice, and whose trigger becomes a dead letter.
 * That is everybody whom the run's history can tell anything about. Only short hashes are kept, since an id may hold on to the whole payload
 * that it was part of.
 */
export class RunPeople {
  readonly #hashes = new Set<number>();
  /** False once something came that could not be read: somebody with the key may read there what this run could not. */
  #isComplete = true;

  arrived(arrival: Arrival): void {
    if (!('raw' in arrival)) return;
    const { raw } = arrival;
    if (undecodableReason(raw) !== undefined) this.#isComplete = false;
    if (typeof raw !== 'object' || raw === null) return;
    if ('user' in raw) this.#add(raw.user);
    if (arrival.kind !== 'page' || !isRecord(raw)) return;
    this.#addAll(raw['ids']);
    this.#addAll(raw['exits']);
  }

  /** What the job does next. */
  did(step: Step): void {
    if (step.kind === 'deliver') for (const { user } of step.slice.triggers) this.#add(user);
    if (step.kind === 'keep-dead-letters') for (const { user } of step.letters.values()) this.#add(user);
  }

  /** Undefined when it cannot be told, or would take more than so many bytes of JSON. */
  filter(mostBytes: number): PeopleFilter | undefined {
    if (!this.#isComplete) return undefined;
    const size = Math.min(MOST_BITS, 8 * Math.max(1, Math.ceil((this.#hashes.size * BITS_PER_PERSON) / 8)));
    if (size / 4 + FRAME_BYTES > mostBytes) return undefined;
    const perPerson = size / Math.max(1, this.#hashes.size);
    const hashes = Math.min(MOST_HASHES, Math.max(1, Math.round(perPerson * Math.LN2)));
    const bits = new Uint8Array(size / 8);
    for (const hash of this.#hashes) {
      for (let i = 0; i < hashes; i++) {
        const place = placeOf(hash, i, size);
        bits[place >>> 3] = (bits[place >>> 3] ?? 0) | (0x80 >>> (place & 7));
      }
    }
    return { hashes, bits: bytesToHex(bits) };
  }

  #add(user: unknown): void {
    if (typeof user === 'string') this.#hashes.add(hashOf(user));
  }

  #addAll(users: unknown): void {
    if (Array.isArray(users)) for (const user of users as readonly unknown[]) this.#add(user);
  }
}

const FRAME_BYTES = ',"people":{"hashes":30,"bits":""}'.length;

/** Whether the run that carried this may have had to do with the person; true for what cannot be read, since another build may have written it. */
export function mayHaveHad(carried: unknown, user: string): boolean {
  if (!isRecord(carried)) return true;
  const { hashes, bits } = carried;
  if (typeof hashes !== 'number' || !Number.isInteger(hashes) || hashes < 1 || hashes > MOST_HASHES) return true;
  if (typeof bits !== 'string' || bits === '') return true;
  const hash = hashOf(user);
  for (let i = 0; i < hashes; i++) {
    const place = placeOf(hash, i, bits.length * 4);
    const digit = Number.parseInt(bits.charAt(place >>> 2), 16);
    if ((digit & (8 >>> (place & 3))) === 0 && !Number.isNaN(digit)) return false;
  }
  return true;
}

/** The place of a hash's i-th bit among so many: of two hashes, all others are made (Kirsch and Mitzenmacher, 2006). */
function placeOf(hash: number, i: number, size: number): number {
  const stride = mixed(hash ^ 0x9e3779b9) | 1;
  return ((hash + imul(i, stride)) >>> 0) % size;
}

/** FNV-1a over UTF-16 units, mixed as MurmurHash3 ends: cheap in the sandbox, where SHA-256 would take longer than all else that is decided about a trigger. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

function mixed(hash: number): number {
  let bits = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  bits = imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
