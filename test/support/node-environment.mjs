import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { TestEnvironment } from 'jest-environment-node';

// Once nothing holds a jest worker any more it ends at once, without first freeing the heap of all that it ran: jest takes one that is
// not gone half a second after its last file for one that a test holds up, and says so.
process.once('beforeExit', () => process.exit());

/** Gives `shared-packages.mjs` packages that all test files of a jest worker share, and removes what `temp-folder.ts` made. */
export default class extends TestEnvironment {
  constructor(...args) {
    super(...args);
    this.global.requireShared = createRequire(import.meta.url);
    this.global.tempFolders = [];
  }

  async teardown() {
    for (const folder of this.global.tempFolders) rmSync(folder, { recursive: true, force: true });
    await super.teardown();
  }
}
