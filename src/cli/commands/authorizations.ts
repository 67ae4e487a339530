import { Command } from '@commander-js/extra-typings';
import type { AuthorizationListing } from '../../contract/authorization.ts';
import { withJobs } from '../jobs.ts';
import { printable } from '../../domain/printable.ts';
import { field, sentences } from '../render.ts';
import type { Terminal } from '../terminal.ts';

export function authorizationsCommand(terminal: Terminal) {
  return new Command('authorizations')
    .description("a worker's authorizations, which jobs name: list")
    .addCommand(listCommand(terminal))
    .addHelpText(
      'after',
      `
It takes --json and has more help: triggers authorizations list --help

Example:
  triggers authorizations list`,
    );
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('ask a worker which authorizations it has: names, kinds and origins, never a value')
    .option('--json', 'print JSON for machines: one authorization a line')
    .addHelpText(
      'after',
      `
Example:
  triggers authorizations list`,
    )
    .action(async ({ json }) => {
      const listed = await withJobs((jobs) => jobs.authorizations());
      if (json === true) return listed.forEach((one) => terminal.out(JSON.stringify(one)));
      if (listed.length === 0)
        return terminal.out(
          sentences(
            'The worker has no authorizations. They belong in its configuration, under "authorizations".',
            terminal,
          ),
        );
      for (const one of listed) for (const line of authorizationLines(one, terminal)) terminal.out(line);
    });
}

function authorizationLines(
  { name, kinds, origins, signingSecretsEnd }: AuthorizationListing,
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string[] {
  const rows = [
    ['Sends', kinds.join(', ') || 'nothing'],
    ['To', origins.map(printable).join(', ')],
    ...signingSecretsEnd.map(
      (end) => ['Old secret', `${Date.parse(end) > Date.now() ? 'signs' : 'signed'} until ${end}`] as const,
    ),
  ] as const;
  return [paint('bold', printable(name)), ...rows.flatMap(([title, value]) => field(title, value, columns))];
}
