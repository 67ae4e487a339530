import { utf8Bytes } from './json.ts';

// The server refuses a summary of more than 400 bytes; its quotes and encoding count.
const SUMMARY_BYTES = 300;

/** The text, cut so that the server takes it as a workflow's summary. */
export function summaryOf(text: string): string {
  if (utf8Bytes(text) <= SUMMARY_BYTES) return text;
  const letters = [...text];
  while (utf8Bytes(letters.join('')) > SUMMARY_BYTES) letters.pop();
  return `${letters.join('')}…`;
}
