import type { AudienceList, AudienceListing, AuthorizationListing } from '../../contract/audience.ts';
import { nearestKey } from '../../contract/nearest-key.ts';
import { findAudience } from '../../domain/names.ts';
import { duration, printable } from '../../domain/text.ts';
import { command, commandGroup, withJobs } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import type { Terminal } from '../terminal.ts';
import { count, field, headed, sentences, tableColumns } from '../text.ts';

export const audiencesCommand = command({
  name: 'audiences',
  description: "list the audiences of a worker's source; with one, the fields of its members",
  takes: (it) => it.argument('[audience]', 'slug or id'),
  json: ': one audience a line; with one, its fields too',
  notes: 'The fields come from the first members with a profile; others may have more.',
  examples: ['triggers audiences', 'triggers audiences vip'],
  async run([name], _options, { terminal, json, print, printEach }) {
    if (name !== undefined) {
      const { found, fields } = await withJobs(async (jobs) => {
        const found = named(name, await jobs.audiences());
        return { found, fields: await jobs.profileFields(found.id) };
      });
      return print({ ...found, fields }, () => [
        ...audienceTable([found], terminal),
        sentences(fieldsText(fields), terminal),
      ]);
    }
    const { audiences, total } = await withJobs((jobs) => jobs.audiences());
    printEach(audiences, () =>
      audiences.length === 0 ? 'The source has no audience.' : audienceTable(audiences, terminal),
    );
    if (!json && audiences.length > 0 && audiences.length < total)
      terminal.err(`The first ${count(audiences.length)} of ${count(total)}.`);
  },
});

function named(name: string, { audiences, total }: AudienceList): AudienceListing {
  const found = findAudience(audiences, name);
  if (found !== undefined) return found;
  const near = nearestKey(
    name,
    audiences.map(({ slug }) => slug),
  );
  const among = audiences.length < total ? ` among the first ${count(audiences.length)} of ${count(total)}` : '';
  const hint = near === undefined ? 'See them with: triggers audiences' : `Did you mean "${near}"?`;
  throw new UsageError(`The source has no audience "${printable(name)}"${among}. ${hint}`);
}

function audienceTable(audiences: readonly AudienceListing[], terminal: Terminal): string[] {
  const rows = audiences.map(({ slug, id, size, windowMinutes, name }) => [
    printable(slug),
    id,
    size === undefined ? '?' : count(size),
    windowMinutes === undefined ? '' : duration(windowMinutes * 60_000),
    printable(name),
  ]);
  const hasWindows = audiences.some(({ windowMinutes }) => windowMinutes !== undefined);
  const shown = [['SLUG', 'ID', 'MEMBERS', 'WINDOW', 'NAME'], ...rows].map((row) =>
    row.filter((_, column) => column !== 3 || hasWindows),
  );
  return headed(shown, { ...terminal, columns: tableColumns(terminal) });
}

function fieldsText(fields: readonly string[]): string {
  return fields.length === 0
    ? 'None of its first members has a profile.'
    : `Fields of its first members who have a profile: ${fields.map(printable).join(', ')}`;
}

export const authorizationsCommand = commandGroup({
  name: 'authorizations',
  description: 'authorizations that jobs can use',
  parts: [
    command({
      name: 'list',
      description: "list a worker's authorizations: names, kinds and origins, never a value",
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
