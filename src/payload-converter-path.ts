import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where the module of the payload converter is. Every client and worker of ours is given it, so that integers keep their digits and no
 * signal fails to decode. Source and build have different suffixes, so the suffix is that of this file.
 */
export const payloadConverterPath = beside('payload-converter');

/** Where the failure converter's module is: for clients and workers that encrypt. */
export const failureConverterPath = beside('failure-converter');

/** Where a module of ours is, given its path from here without a suffix. */
export function beside(module: string): string {
  return fileURLToPath(new URL(`./${module}${extname(import.meta.url)}`, import.meta.url));
}
