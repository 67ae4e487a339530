/** The endpoint was asked, or could not be, and did not take the message: exit code 1. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
}
