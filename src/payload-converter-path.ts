import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where the payload converter's module is: every client and worker of ours is given it, so that integers keep their
 * digits and nothing that is signalled fails to decode. Source and build carry different suffixes, hence our own.
 */
export const payloadConverterPath = fileURLToPath(
  new URL('./payload-converter' + extname(import.meta.url), import.meta.url),
);
