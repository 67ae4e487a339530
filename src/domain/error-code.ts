/** The code that Node, undici or a database gave an error (`EADDRINUSE`, `23505`); undefined if it has none that is a text. */
export function codeOf(error: unknown): string | undefined {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
