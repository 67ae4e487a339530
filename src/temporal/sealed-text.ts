import { createHmac } from 'node:crypto';
import { openText, readPayloadKeys, sealText } from './encrypting-codec.ts';

/** The beginning of an encrypted text. JSON does not begin so. */
const SEALED = 'sealed:';
/** The key has other uses. */
const DIGEST = 'audience-triggers digest 1\n';

/**
 * Encrypts texts that are kept outside of Temporal.
 * @param payloadKeys as configured; none: nothing is encrypted.
 * @throws InvalidPayloadKeys
 */
export function sealingWith(payloadKeys: readonly string[]) {
  const { encrypting, byId } = readPayloadKeys(payloadKeys);
  const keys = [encrypting, ...byId.values()].filter((key) => key !== undefined);
  return {
    /** Digests that nobody can make without the keys, by each key; the first is by the one that encrypts. Without keys there is none. */
    digests: (text: string) =>
      keys.map(({ secret }) => createHmac('sha256', secret).update(`${DIGEST}${text}`).digest('hex').slice(0, 32)),
    /** Undefined: nothing is encrypted. */
    seal: encrypting && ((text: string) => SEALED + sealText(text, encrypting)),
    /** Returns the text itself if it is not encrypted; undefined: its key is not here, or somebody has changed it. */
    open: (text: string) => (text.startsWith(SEALED) ? openText(text.slice(SEALED.length), byId) : text),
  };
}
