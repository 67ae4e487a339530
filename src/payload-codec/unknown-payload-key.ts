import { lostAs, type PayloadKey } from './payload-keys.ts';

/**
 * A payload was encrypted with a key that is not configured here. It must not be skipped: a workflow task that fails with this error is handed out
 * again until a worker has the key.
 */
export class UnknownPayloadKey extends Error {
  override readonly name = 'UnknownPayloadKey';
  /** The id of the missing key. */
  readonly keyId: string;
  constructor(key: Pick<PayloadKey, 'id' | 'check'>, known: readonly string[]) {
    super(
      `A payload is encrypted with the key "${key.id}", ${whyNot(key, known)}. Add it to "payloadKeys" in triggers.config.json (or TRIGGERS_PAYLOAD_KEYS) and start this program again. Nothing is lost in the meantime: whatever needs the key is tried again.`,
    );
    this.keyId = key.id;
  }
}

function whyNot(key: Pick<PayloadKey, 'id' | 'check'>, known: readonly string[]): string {
  if (known.includes(key.id)) return `and the payload key with that id here is not "${lostAs(key)}"`;
  if (known.length === 0) return 'and no payload keys are set here';
  return `which is not among the payload keys here (${known.join(', ')})`;
}
