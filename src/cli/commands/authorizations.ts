import type { AuthorizationListing } from '../../contract/audience.ts';
import { printable } from '../../domain/shown.ts';
import { command, commandGroup } from '../command.ts';
import { withJobs } from '../jobs.ts';
import type { Terminal } from '../terminal.ts';
import { field } from '../text.ts';

export const authorizationsCommand = commandGroup({
  name: 'authorizations',
  description: "a worker's authorizations, which jobs name",
  parts: [
    command({
      name: 'list',
      description: 'ask a worker which authorizations it has: names, kinds and origins, never a value',
      json: ': one authorization a line',
      examples: ['triggers authorizations list'],
      async run(_args, _options, { terminal, printEach }) {
        const listed = await withJobs((jobs) => jobs.authorizations());
        printEach(listed, () =>
          listed.length === 0
            ? 'The worker has no authorizations. They belong in its configuration, under "authorizations".'
            : listed.flatMap((one) => authorizationLines(one, terminal)),
        );
      },
    }),
  ],
  examples: ['triggers authorizations list'],
});

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
