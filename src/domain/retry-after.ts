/**
 * What a Retry-After header asks for, in ms from now: seconds or an HTTP date (RFC 9110 §10.2.3). Undefined when it is
 * neither. A date in the past is 0; clamping is the caller's.
 */
export function parseRetryAfter(value: string, nowMs: number): number | undefined {
  const text = value.trim();
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1000;
  // Only what looks like an HTTP date: Date.parse accepts almost anything, including "-5" and "2".
  if (!/^[A-Za-z]{3,9},? \d{1,2}[ -][A-Za-z]{3}[ -]\d{2,4} \d\d:\d\d:\d\d GMT$/.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
