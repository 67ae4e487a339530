/** The endpoint did not accept the message, or could not be asked: exit code 1. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
}
