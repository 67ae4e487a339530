// Controls, and marks that turn the direction of what follows.
const UNSAFE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/** A text from outside as people may be shown it: what could drive a terminal, or show another text, stands there spelt out. */
export function printable(text: string): string {
  return text.replaceAll(UNSAFE, (mark) => `\\u${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
}
