// Control characters, and marks that change the direction of the text that follows.
const UNSAFE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/** Text from outside, made safe to show: what could control a terminal, or disguise the text, is escaped. */
export function printable(text: string): string {
  return text.replaceAll(UNSAFE, (mark) => `\\u${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
}
