import { command } from '../command.ts';

export const setupCommand = command({
  name: 'setup',
  description: 'register the search attributes of jobs in the namespace of TEMPORAL_NAMESPACE',
  examples: ['TEMPORAL_NAMESPACE=marketing triggers setup'],
  async run(_args, _options, { print }) {
    const { loadConnectConfig, openConnection } = await import('../../client/calls/connect.ts');
    const { registerSearchAttributes } = await import('../../client/jobs/search-attributes.ts');
    const config = loadConnectConfig();
    const connection = await openConnection(config);
    try {
      const { namespace } = config;
      const registered = await registerSearchAttributes(connection, namespace);
      print({ namespace, registered }, () => setupText(namespace, registered));
    } finally {
      await connection.close();
    }
  },
});

function setupText(namespace: string, registered: readonly string[]): string {
  if (registered.length === 0) return `The namespace ${namespace} already has all search attributes of jobs.`;
  return `Registered in the namespace ${namespace}: ${registered.join(', ')}.`;
}
