/** Some of what was asked for was done, and some was not: exit code 1. */
export class PartlyDone extends Error {
  override readonly name = 'PartlyDone';
  readonly done: number;
  readonly failed: number;
  constructor(message: string, done: number, failed: number) {
    super(message);
    this.done = done;
    this.failed = failed;
  }
}
