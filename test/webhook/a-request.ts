import type { WebhookRequest } from '../../src/webhook/request.ts';

/** The headers of a request, by name. */
export function headersOf({ headers }: Pick<WebhookRequest, 'headers'>): Record<string, string> {
  // Each name is followed by its value.
  return Object.fromEntries(headers.flatMap((name, i, all) => (i % 2 === 0 ? [[name, all[i + 1] ?? '']] : [])));
}
