import { Command } from '@commander-js/extra-typings';
import { sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function setupCommand(terminal: Terminal) {
  return new Command('setup')
    .description('register the search attributes of jobs in the namespace of TEMPORAL_NAMESPACE')
    .option('--json', 'print JSON for machines')
    .addHelpText(
      'after',
      `
Example:
  TEMPORAL_NAMESPACE=marketing triggers setup`,
    )
    .action(async ({ json }) => {
      const { connectClient, loadConnectConfig } = await import('../../client/connect.ts');
      const { registerSearchAttributes } = await import('../../client/search-attributes.ts');
      const config = loadConnectConfig();
      const { connection, close } = await connectClient(config);
      try {
        const registered = await registerSearchAttributes(connection, config.namespace);
        if (json === true) terminal.out(JSON.stringify({ namespace: config.namespace, registered }));
        else terminal.out(sentences(setupText(config.namespace, registered), terminal));
      } finally {
        await close();
      }
    });
}

function setupText(namespace: string, registered: readonly string[]): string {
  if (registered.length === 0) return `The namespace ${namespace} already has all search attributes of jobs.`;
  return `Registered in the namespace ${namespace}: ${registered.join(', ')}.`;
}
