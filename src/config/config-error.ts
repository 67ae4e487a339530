/** A configuration that cannot be used: which file or variable, and what is wrong with it. Never what a secret is. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
