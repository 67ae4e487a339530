import { openText, readPayloadKeys, sealText } from './encrypting-codec.ts';

/** The beginning of an encrypted text. JSON does not begin so. */
const SEALED = 'sealed:';

/**
 * Encrypts texts that are kept outside of Temporal.
 * @param payloadKeys as configured; none: nothing is encrypted.
 * @throws InvalidPayloadKeys
 */
export function sealingWith(payloadKeys: readonly string[]) {
  const { encrypting, byId } = readPayloadKeys(payloadKeys);
  return {
    /** Undefined: nothing is encrypted. */
    seal: encrypting && ((text: string) => SEALED + sealText(text, encrypting)),
    /** Returns the text itself if it is not encrypted; undefined: its key is not here, or somebody has changed it. */
    open: (text: string) => (text.startsWith(SEALED) ? openText(text.slice(SEALED.length), byId) : text),
  };
}
