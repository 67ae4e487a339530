import type { Client } from '@temporalio/client';

/** Everything that Temporal stores of some workflows, as it is stored: histories, memos and what lists show. */
export async function rawText(client: Client, query: string): Promise<string> {
  const { workflowService, options } = client;
  const { namespace } = options;
  const parts: string[] = [];
  // Not by the client's own list, which would decode.
  const { executions } = await workflowService.listWorkflowExecutions({ namespace, query, pageSize: 1000 });
  for (const { execution = null } of executions ?? []) {
    parts.push(textOf(await workflowService.describeWorkflowExecution({ namespace, execution })));
    let nextPageToken = new Uint8Array();
    do {
      const page = await workflowService.getWorkflowExecutionHistory({ namespace, execution, nextPageToken });
      parts.push(textOf(page.history));
      nextPageToken = new Uint8Array(page.nextPageToken ?? []);
    } while (nextPageToken.length > 0);
  }
  return parts.join('\n');
}

/** Every text and all bytes of a message, except the values of search attributes. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .filter(([name]) => name !== 'searchAttributes')
    .map(([name, part]) => `${name}: ${textOf(part)}`)
    .join('\n');
}
