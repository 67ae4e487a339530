import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

/** A key that payloads are encrypted with. */
export interface PayloadKey {
  readonly id: string;
  readonly secret: KeyObject;
  /** 16 hex digits that identify the key and the way of encrypting with it, and reveal nothing else about it. */
  readonly check: string;
}

/** The payload keys of a program, as configured. */
export interface PayloadKeys {
  /** The first one, which encrypts; undefined when there are none, so that nothing is encrypted. */
  readonly encrypting: PayloadKey | undefined;
  /** By id. Undefined means a lost key, which is listed by `lostAs` if another key has its id. */
  readonly byId: ReadonlyMap<string, PayloadKey | undefined>;
}

/** The payload keys cannot be used. The message says which one, by its position, and why; it never contains a key. */
export class InvalidPayloadKeys extends Error {
  override readonly name = 'InvalidPayloadKeys';
}

/** A key id: 1..32 letters, digits, dots, dashes and underscores, beginning with a letter or digit. */
export const KEY_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

/** The name of a lost key whose id another key has. */
export function lostAs({ id, check }: Pick<PayloadKey, 'id' | 'check'>): string {
  return `${id}/${check}`;
}

const LOST_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}\/[0-9a-f]{16}$/;

/** AES-256 */
const KEY_BYTES = 32;
/** Given in place of a key that is lost. */
const LOST = 'lost';
// Another way of encrypting would need another label, so that a program that does not know it takes the key for one that it does not have.
const CHECK_LABEL = 'audience-triggers payload encryption 1';
const CHECK_BYTES = 8;

/**
 * Reads keys as they are configured: `<key id>:<base64 of 32 bytes>`. The first one encrypts, all of them decrypt. `<key id>:lost` says that a key is
 * gone for good, so that what it encrypted counts as unreadable and nothing waits for the key; `<key id>/<check>:lost` says so about a key whose id
 * another one has.
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
        `${place} must be "<key id>:<base64 of 32 bytes>". A key id consists of letters, digits, dots, dashes and underscores, at most 32.`,
      );
    if (byId.has(id))
      throw new InvalidPayloadKeys(`${place} has the same id as one before it. Each key needs its own.`);
    byId.set(id, text === LOST ? undefined : payloadKey(id, text, place));
  }
  const [first] = byId.values();
  if (byId.size > 0 && first === undefined)
    throw new InvalidPayloadKeys('The first payload key encrypts, so it cannot be a lost one.');
  return { encrypting: first, byId };
}

/** The keys in a variable, which are separated by commas. */
export function splitPayloadKeys(text: string): string[] {
  return text.split(',').map((entry) => entry.trim());
}

function payloadKey(id: string, text: string, place: string): PayloadKey {
  const bytes = Buffer.from(text, 'base64');
  // Strict: a mistyped character must not silently make another key.
  if (bytes.length !== KEY_BYTES || bytes.toString('base64') !== text)
    throw new InvalidPayloadKeys(
      `${place} must have exactly 32 bytes, in base64, after its id. Make one with: triggers secrets new --payload-key`,
    );
  const check = createHmac('sha256', bytes).update(CHECK_LABEL).digest().subarray(0, CHECK_BYTES).toString('hex');
  return { id, secret: createSecretKey(bytes), check };
}
