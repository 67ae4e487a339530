import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

/** A key that payloads are encrypted with. */
export interface PayloadKey {
  readonly id: string;
  readonly secret: KeyObject;
  /** 16 hex digits that say which key it is and how payloads are encrypted with it, and nothing else of it. */
  readonly check: string;
}

/** The payload keys of a program, as configured. */
export interface PayloadKeys {
  /** The first one, which encrypts; undefined when there are none: then nothing is encrypted. */
  readonly encrypting: PayloadKey | undefined;
  /** By id; undefined stands for a key that nobody has any more, also by `lostAs` for one whose id another key has. */
  readonly byId: ReadonlyMap<string, PayloadKey | undefined>;
}

/** Payload keys that cannot be used. The message says which and why, by its place; it never repeats a key. */
export class InvalidPayloadKeys extends Error {
  override readonly name = 'InvalidPayloadKeys';
}

/** A key id: letters, digits, dots, dashes and underscores, 1..32, beginning with a letter or digit. */
export const KEY_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

/** How a key is named that is lost while another one has its id. */
export function lostAs({ id, check }: Pick<PayloadKey, 'id' | 'check'>): string {
  return `${id}/${check}`;
}

const LOST_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}\/[0-9a-f]{16}$/;

/** AES-256 */
const KEY_BYTES = 32;
/** Stands in the place of a key that is lost. */
const LOST = 'lost';
// Another way of encrypting has another label, so that a program that does not know it finds that the key is not its own.
const CHECK_LABEL = 'audience-triggers payload encryption 1';
const CHECK_BYTES = 8;

/**
 * Reads keys as they are configured: `<key id>:<base64 of 32 bytes>`. The first one encrypts, all decrypt. `<key id>:lost` says that a key is
 * gone for good: what it encrypted counts as unreadable, instead of being waited for; `<key id>/<check>:lost` says so of one whose id another key has.
 *
 * @throws InvalidPayloadKeys
 */
export function readPayloadKeys(entries: readonly string[]): PayloadKeys {
  const byId = new Map<string, PayloadKey | undefined>();
  for (const [index, entry] of entries.entries()) {
    const place = `Payload key ${index + 1} of ${entries.length}`;
    const [, id = '', text = ''] = /^([^:]*):(.*)$/s.exec(entry) ?? [];
    if (!KEY_ID_PATTERN.test(id) && !(text === LOST && LOST_ID_PATTERN.test(id)))
      throw new InvalidPayloadKeys(
        `${place} must be "<key id>:<base64 of 32 bytes>". A key id has letters, digits, dots, dashes and underscores, at most 32.`,
      );
    if (byId.has(id)) throw new InvalidPayloadKeys(`${place} has the id of one before it. Each key needs its own.`);
    byId.set(id, text === LOST ? undefined : payloadKey(id, text, place));
  }
  const [first] = byId.values();
  if (byId.size > 0 && first === undefined)
    throw new InvalidPayloadKeys('The first payload key encrypts, so it cannot be one that is lost.');
  return { encrypting: first, byId };
}

/** The keys of a variable: separated by commas. */
export function splitPayloadKeys(text: string): string[] {
  return text.split(',').map((entry) => entry.trim());
}

function payloadKey(id: string, text: string, place: string): PayloadKey {
  const bytes = Buffer.from(text, 'base64');
  // Strict: a mistyped character must not silently make another key.
  if (bytes.length !== KEY_BYTES || bytes.toString('base64') !== text)
    throw new InvalidPayloadKeys(
      `${place} must have the base64 of exactly 32 bytes after its id. Make one with: triggers secrets new --payload-key`,
    );
  const check = createHmac('sha256', bytes).update(CHECK_LABEL).digest().subarray(0, CHECK_BYTES).toString('hex');
  return { id, secret: createSecretKey(bytes), check };
}
