/** A source that cannot be read as it is: which file, what is wrong with it, what to do. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}
