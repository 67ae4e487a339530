import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where the payload converter's module is: every client and worker of ours is given it, so that integers keep their
 * digits and nothing that is signalled fails to decode. Source and build carry different suffixes, hence our own.
 */
export const payloadConverterPath = beside('payload-converter');

/** Where the failure converter's module is: for clients and workers that encrypt. */
export const failureConverterPath = beside('failure-converter');

/** Where a module of ours is, by its path from here, without a suffix. */
export function beside(module: string): string {
  return fileURLToPath(new URL(`./${module}${extname(import.meta.url)}`, import.meta.url));
}
