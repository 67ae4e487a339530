import { z } from 'zod';

/** An ordinary key. Anything else may be a whole line with a secret in it: `"authorization: Bearer …": ""`. */
const NAME = /^[\w.$-]{1,64}$/;

/** Says where a configuration is wrong and why, without any value, and without any key that may contain one. */
export function problemsOf({ issues }: z.ZodError): string {
  return z.prettifyError({
    issues: issues.map((issue) => ({
      path: issue.path.map((part) => (typeof part === 'string' ? shownKey(part) : part)),
      message:
        issue.code === 'unrecognized_keys'
          ? `Unrecognized ${issue.keys.length === 1 ? 'key' : 'keys'}: ${issue.keys.map((key) => `"${shownKey(key)}"`).join(', ')}`
          : issue.message,
    })),
  });
}

function shownKey(key: string): string {
  return NAME.test(key) ? key : '…';
}
