/** The configuration cannot be used. The message names the file or variable and says what is wrong, but never contains a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
