import { utf8Bytes } from './json.ts';

// A server may refuse a summary of more than 400 bytes. Its quotes and encoding count, and encryption adds up to 190.
const SUMMARY_BYTES = 200;

/** The text, cut so that the server takes it as a workflow's summary. */
export function summaryOf(text: string): string {
  if (utf8Bytes(text) <= SUMMARY_BYTES) return text;
  const letters = [...text];
  while (utf8Bytes(letters.join('')) > SUMMARY_BYTES) letters.pop();
  return `${letters.join('')}…`;
}
