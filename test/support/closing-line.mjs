import { writeSync } from 'node:fs';

/** Prints the run's result as one plain line, after everything else, e.g. `12 passed, 0 failed, 1 skipped`. */
export default class ClosingLine {
  onRunComplete(_contexts, results) {
    // A file that does not even load has no failed test, but has failed.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const line = `${results.numPassedTests} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
    // Jest's own summary comes after the reporters.
    process.once('exit', () => writeSync(1, `${line}\n`));
  }
}
