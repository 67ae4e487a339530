/** The command was used wrongly: exit code 2, and the message says how it is meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
