import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { describe, expect, test } from '@jest/globals';
import { createProgram } from '../../src/app/program.ts';
import { authorizationSchema } from '../../src/authorizations/authorization-config.ts';
import { SETTINGS } from '../../src/config/core-config.ts';
import { loadConfig } from '../../src/app/config.ts';
import { checkJobDefinition, JOB_FIELDS } from '../../src/contract/export-job.ts';
import { FORM_FIELDS, defaultOf, FIELDS, isRequired } from '../../src/domain/form.ts';
import { FORM } from '../../src/words/form.ts';
import { unknownFindings } from '../../src/features/doctor/findings.ts';
import { isRecord } from '../../src/domain/json.ts';
import { legacyPayload, newPayload, type PayloadParts } from '../../src/domain/message.ts';
import { readTrigger } from '../../src/domain/trigger.ts';
import { ATTEMPT_CODES, failureInWords, judge, VERDICTS } from '../../src/domain/verdict.ts';
import { ANSWER_CODES } from '../../src/sources/source.ts';
import { aTerminal } from '../cli/a-terminal.ts';
import { type Block, blocksOf, PAGES, proseOf, readPage, root, shellBlocksOf } from './pages.ts';
import { ownArguments, ParsingShell } from './shell-lines.ts';
import { errorClasses, failureTypes, keysOf, madeClasses, unionOf } from './what-the-code-says.ts';
import { tempFolder } from '../support/temp-folder.ts';

const shell = new ParsingShell();

/** Those that the program reads, and those that docker-compose.yml reads or hands on. */
const variables = new Set(
  [
    'docker-compose.yml',
    ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).map((path) => join('src', path)),
  ]
    .filter((path) => /\.(ts|yml)$/.test(path))
    .flatMap((path) => [...readFileSync(join(root, path), 'utf8').matchAll(/(?:'|\$\{|^ +)(TRIGGERS_\w+)(?=[':}])/gm)])
    .map(([, name]) => name),
);

/** The real program, of which no command does anything. */
function idleProgram() {
  const { terminal, err } = aTerminal();
  const program = createProgram(terminal);
  for (const command of withParts(program)) if (command.commands.length === 0) command.action(() => undefined);
  return { program, said: err };
}

function withParts(command: CommandUnknownOpts): CommandUnknownOpts[] {
  return [command, ...command.commands.flatMap(withParts)];
}

/** What the program has against arguments; none: nothing. */
async function complaints(args: readonly string[]): Promise<string[]> {
  const { program, said } = idleProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return [];
  } catch (error) {
    // Help and version end by an exception, too.
    if (error instanceof CommanderError && error.exitCode === 0) return [];
    return [`triggers ${args.join(' ')}: ${said.join(' ') || String(error)}`];
  }
}

/** What the program does not know of words that name a command, perhaps with a few of its options. */
function unknownIn(words: readonly string[]): string[] {
  let command: CommandUnknownOpts = idleProgram().program;
  for (const word of words) {
    if (command.commands.length === 0) break;
    const part = command.commands.find((one) => one.name() === word);
    if (part === undefined) break;
    command = part;
  }
  const options = words.filter((word) => word.startsWith('-') && word !== '-' && word !== '--help');
  const known = command.options.flatMap(({ short, long }) => [short, long]);
  const unknown = options.filter((option) => !known.includes(option));
  const isCommand = command.parent !== null || options.length === words.length || words[0] === '--help';
  return isCommand && unknown.length === 0 ? [] : [`triggers ${words.join(' ')}`];
}

describe.each(PAGES)('%s', (page) => {
  test('the commands of the page exist, with the options and arguments that it gives them', async () => {
    const lines = shellBlocksOf(page).flatMap((block) => shell.linesOf(block));
    const all = lines.flatMap((line) => shell.callsOf(line)).map((call) => ownArguments(call) ?? []);
    const wrong = await Promise.all(all.filter((args) => args.length > 0).map(complaints));
    expect(wrong.flat()).toEqual([]);
  });

  test('the commands that the page names in its text exist, with their options', () => {
    const named = [...proseOf(page).matchAll(/`(?:\w+=\S+ )?(?:npx )?triggers ([^`]+)`/g)];
    expect(named.flatMap(([, words = '']) => unknownIn(words.trim().split(/\s+/)))).toEqual([]);
  });

  test('the commands of the page stand in blocks marked sh or console', () => {
    const others = blocksOf(page).filter(({ language }) => language !== 'sh' && language !== 'console');
    expect(others.flatMap(({ text }) => text.match(/^(?:\w+=.+ )?(?:npx )?triggers .*$/gm) ?? [])).toEqual([]);
  });

  test('the variables that the page names are read', () => {
    const named = readPage(page).match(/TRIGGERS_[A-Z_]*[A-Z]/g) ?? [];
    expect(named.filter((name) => !variables.has(name))).toEqual([]);
  });
});

/** The commands that the texts of the program name: behind a colon or a bracket, or in quotes. */
function advised(): string[] {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  );
  const texts = sources.map((path) =>
    readFileSync(join(root, 'src', path), 'utf8')
      .replaceAll(/^ *(\*|\/\*|\/\/).*$/gm, '')
      // "triggers that …", of a command, are no command.
      .replaceAll(/^ *description: .*$/gm, '')
      .replaceAll(/\$\{[^}]*\}/g, 'X'),
  );
  const named = texts.flatMap((text) => [...text.matchAll(/(?:: ['`]?|\(|"|`)triggers ([a-z][^.,;:()'"`\n]*)/g)]);
  return named.map(([, words = '']) => words.trim());
}

test('the commands that the program itself advises exist, with their options', () => {
  const all = advised();
  expect(all.length).toBeGreaterThan(40);
  expect(all.flatMap((words) => unknownIn(words.split(/\s+/)))).toEqual([]);
});

test('each check of the doctor has a row on its page, and each row a check', () => {
  const [, section = ''] = /^## Doctor$(.*?)^## /ms.exec(readPage('docs/operating.md')) ?? [];
  const rows = [...section.matchAll(/^\| `([a-z-]+)`/gm)].map(([, check]) => check);
  expect(rows).toEqual(['temporal', ...unknownFindings('').map(({ check }) => check)]);
});

describe('errors', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

  /** The rows of the first table under this heading or introduction, cell by cell. */
  function rowsUnder(introduction: string): string[][] {
    const [, behind = ''] = page.split(`\n${introduction}\n`);
    const [, table = ''] = /^\|.*?\n\| -.*?\n(.*?)(?=^[^|]|(?![^]))/ms.exec(behind) ?? [];
    return table
      .trim()
      .split('\n')
      .map((row) =>
        row
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
  }

  /** Code by code, since rows may be of several, which are alike. */
  function byCode(introduction: string): [code: string, cells: string[]][] {
    return rowsUnder(introduction).flatMap(([codes = '', ...cells]) =>
      [...codes.matchAll(/`([^`]+)`/g)].map(([, code = '']): [string, string[]] => [code, cells]),
    );
  }

  const codesUnder = (introduction: string): string[] => byCode(introduction).map(([code]) => code);
  const sorted = (names: Iterable<string>): string[] => [...names].sort();

  const classes = errorClasses();
  const named = [...classes.values()].flatMap(({ ownName }) => ownName ?? []);

  test('every named error and type of failure has a row, and every row has an error or failure', () => {
    const headings = ['Commands and the client', 'Audience sources', 'Types of failure', 'On the way to an endpoint'];
    const rows = headings.flatMap((heading) => codesUnder(`## ${heading}`));
    expect(sorted(rows)).toEqual(sorted(new Set([...named, ...failureTypes()])));
  });

  test.each(['## Commands and the client', '## Audience sources', '## On the way to an endpoint'])(
    'the rows under %s explain an error as its class does, and say what to do',
    (heading) => {
      for (const [code, [when, todo]] of byCode(heading)) {
        expect({ code, when }).toEqual({ code, when: classes.get(code)?.when });
        expect({ code, todo }).not.toEqual({ code, todo: '' });
      }
    },
  );

  test('an error has the name of its class, so that either leads to the other', () => {
    for (const [name, { ownName }] of classes) expect([undefined, name]).toContain(ownName);
  });

  test('every error is made somewhere', () => {
    const made = madeClasses();
    const abstract = new Set(['TriggersError', 'ProblemsError']);
    expect([...classes.keys()].filter((name) => !made.has(name) && !abstract.has(name))).toEqual([]);
  });

  describe('the tables have what the code has, and nothing else', () => {
    test.each<[string, string, Iterable<string>]>([
      ['exit codes', '## Exit codes', unionOf('cli/exit-code.ts', 'ExitCode')],
      ['codes of answers', 'Codes of its answers:', Object.values(ANSWER_CODES)],
      ['attempt codes', '## Attempt codes', attemptCodes()],
      ['verdicts', '## Verdicts', unionOf('contract/verdict.ts', 'Verdict')],
      ['states of a job', 'Of a job:', unionOf('contract/job-status.ts', 'JobState')],
      ['states of a watch', 'Of a watch:', unionOf('features/watch/sandbox/watch.ts', 'WatchPhase')],
      ['states of a dead letter', 'Of a dead letter:', unionOf('contract/dead-letter.ts', 'DeadLetterState')],
    ])('%s', (_, introduction, names) => {
      expect(sorted(names)).not.toEqual([]);
      expect(sorted(codesUnder(introduction))).toEqual(sorted(names));
    });
  });

  /** Every code that is said in words. */
  function attemptCodes(): string[] {
    const ours = new Map(Object.entries(ATTEMPT_CODES).map(([key, code]) => [`[ATTEMPT_CODES.${key}]`, code]));
    return [...keysOf('domain/verdict.ts', 'WORDS')].map((key) => ours.get(key) ?? key);
  }

  test('every attempt code is listed with the words that people are shown and its verdict', () => {
    for (const [code, [words, verdict]] of byCode('## Attempt codes')) {
      expect({ code, words }).toEqual({ code, words: failureInWords({ code }) });
      // What was given up early was no attempt.
      const isAttempt = code !== ATTEMPT_CODES.givenUpEarly;
      if (isAttempt) expect({ code, verdict }).toEqual({ code, verdict: `\`${judge({ code })}\`` });
    }
  });

  test('the list of verdicts that metrics have is complete, and says of which of them no request was made', () => {
    const metrics = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    const [, asked = '', notAsked = ''] =
      /^- `verdict`: `delivered`;(.*?)where no request was made,(.*?)(?=^- )/ms.exec(metrics) ?? [];
    const named = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name).sort();
    const meant = (wasAsked: boolean): string[] =>
      Object.entries(VERDICTS)
        .flatMap(([name, meaning]) => (meaning.wasRequested === wasAsked ? [name] : []))
        .sort();
    expect({ asked: named(asked), notAsked: named(notAsked) }).toEqual({ asked: meant(true), notAsked: meant(false) });
  });

  test('every status is listed with its verdict', () => {
    const rows = rowsUnder('Statuses:').map((cells) => cells.map((cell) => cell.replaceAll(/^`|`$/g, '')));
    const verdictOf = (status: number): string | undefined =>
      [String(status), `${Math.floor(status / 100)}xx`]
        .map((wanted) => rows.find(([cell = '']) => cell.split(', ').includes(wanted))?.[1])
        .find((verdict) => verdict !== undefined) ?? rows.find(([cell]) => cell === 'other 4xx')?.[1];
    for (let status = 300; status < 600; status++)
      expect({ status, verdict: verdictOf(status) }).toEqual({ status, verdict: judge({ status }) });
    const asking = rows.find(([cell = '']) => cell.includes('503 with'));
    expect(asking?.[1]).toBe(judge({ status: 503, retryAfterMs: 1000 }));
  });
});

describe('jobs', () => {
  const PAGE = 'docs/jobs.md';
  const TABLE = /\| field +\| what it is.*\n(?:\|.*\n)+/;

  /** WRITE_FORM_TABLE=1 writes it. */
  test('the table of the form says of every field what the code says', () => {
    const rows = FORM_FIELDS.map((field) => `| \`${field}\` | ${told(field)} | ${usual(field)} |`);
    const table = ['| field | what it is | default |', '| --- | --- | --- |', ...rows, ''].join('\n');
    const page = readPage(PAGE);
    if (process.env['WRITE_FORM_TABLE'] === '1')
      writeFileSync(
        new URL(`../../${PAGE}`, import.meta.url),
        page.replace(TABLE, () => table),
      );
    else expect(cellsOf(TABLE.exec(page)?.[0] ?? '')).toEqual(cellsOf(table));
  });

  function told(field: keyof typeof FORM): string {
    const { what, without, input } = FORM[field];
    const first = input.kind === 'flag' && input.on !== true ? `${json(input.on)}: ` : '';
    return `${first}${what}${without === undefined ? '' : `; ${json(defaultOf(field))}: ${without}`}`;
  }

  function usual(field: keyof typeof FORM): string {
    if (isRequired(field)) return 'required';
    const { default: byDefault } = FIELDS[field];
    return byDefault === undefined ? '' : json(byDefault);
  }

  const json = (value: unknown): string => `\`${JSON.stringify(value)}\``;

  /** Without the spaces and dashes that only line the columns up. */
  function cellsOf(table: string): string[] {
    return table.split('\n').map((line) => line.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---'));
  }
});

describe('JSON', () => {
  /** What else pages show as JSON, by what it begins with. One that no page shows any more does not belong here. */
  const OTHERS: readonly (readonly [page: string, begins: string, reason: string])[] = [
    ['docs/alerts.md', '{"type":"alert"', 'what an alert webhook gets'],
    ['docs/sources/file.md', '{"user":"7076027172059065053","profile"', 'a line of profiles.ndjson'],
  ];

  /** Something in the place of what a configuration takes from variables and files, of the form that it must have there. */
  function filledIn(text: string): string {
    return text.replaceAll(/\$\{(?:env|file):([^}]+)\}/g, (_, name: string) => {
      if (/payload.?key/i.test(name)) return Buffer.alloc(32, 7).toString('base64');
      if (/database/i.test(name)) return 'postgres://a@b.example.com/c';
      return /signing|(?:new|old)-secret/i.test(name)
        ? `whsec_${Buffer.alloc(24, 7).toString('base64')}`
        : 'x'.repeat(24);
    });
  }

  type Shown = Record<string, unknown>;

  function complaintsOfConfig(config: Shown): string[] {
    const folder = tempFolder();
    const path = join(folder, 'triggers.config.json');
    writeFileSync(path, JSON.stringify(config));
    try {
      loadConfig({ path, env: {} });
      return [];
    } catch (error) {
      return [String(error)];
    }
  }

  function complaintsOfJob(job: Shown): string[] {
    const checked = checkJobDefinition(job);
    return checked.ok ? [] : checked.problems.map(({ field, message }) => `${field}: ${message}`);
  }

  /** A part of an authorization says not where it may go. */
  function complaintsOfAuthorization(part: Shown): string[] {
    const { error } = authorizationSchema.safeParse({ origins: ['https://example.com'], ...part });
    return error?.issues.map(({ message }) => message) ?? [];
  }

  function complaintsOfTrigger(trigger: Shown): string[] {
    const reading = readTrigger(trigger, undefined, 64 * 1024);
    return reading.ok ? [] : [reading.reason];
  }

  /** A message that a page shows is the one that would be made of what it tells. */
  function complaintsOfMessage(message: Shown): string[] {
    const shown = JSON.stringify(message);
    const made = 'meta' in message ? newPayload(partsOf(message)) : legacyPayload(partsOf(message));
    return shown === made ? [] : [`This would be made: ${made}`];
  }

  /** What a message is of. It shows everything, in one place or another, but the name of the audience in the new format. */
  function partsOf(message: Shown): PayloadParts {
    const { id, data, meta, subscriptionid, collected } = message;
    const {
      segment_events: inside,
      _audience,
      _audience_action,
      _audience_friendly,
      _audience_name,
      ...profile
    } = recordOf(data);
    const [event] = [message['segment_events'], inside].flatMap((list) =>
      Array.isArray(list) ? list.map(recordOf) : [],
    );
    if (event === undefined) throw new Error('The message has no segment_events.');
    const kind = event['event'] === 'enter' ? 'enter' : 'exit';
    return {
      user: String(id),
      event: kind,
      at: String(event[kind]),
      audience: { id: String(event['id']), slug: String(event['slug']), name: String(_audience_name) },
      profile: profile as PayloadParts['profile'], // Of a JSON text.
      subscriptionId: String(subscriptionid ?? recordOf(meta)['subscription_id']),
      exportFields: [],
      attemptAt: String(collected ?? recordOf(meta)['timestamp']),
    };
  }

  function recordOf(value: unknown): Shown {
    return isRecord(value) ? value : {};
  }

  /** What is wrong with a block; undefined when nobody knows what it is. */
  function complaintsOf({ page, text }: Block): string[] | undefined {
    const shown: unknown = JSON.parse(filledIn(text));
    if (!isRecord(shown)) return undefined;
    const has = (...names: string[]): boolean => names.every((name) => name in shown);
    if (OTHERS.some(([where, begins]) => where === page && JSON.stringify(shown).startsWith(begins))) return [];
    if (has('id', 'data')) return complaintsOfMessage(shown);
    if (has('event', 'user')) return complaintsOfTrigger(shown);
    // An authorization has headers, too.
    if (JOB_FIELDS.some((field) => field !== 'headers' && has(field))) return complaintsOfJob(shown);
    if (SETTINGS.some((setting) => has(setting))) return complaintsOfConfig(shown);
    if (Object.keys(authorizationSchema.shape).some((part) => has(part))) return complaintsOfAuthorization(shown);
    return undefined;
  }

  const shown = PAGES.flatMap(blocksOf).filter(({ language }) => language === 'json');

  test.each(shown.map((block) => [block.page, firstLines(block), block] as const))(
    'on %s, the JSON %s is as the program takes or makes it',
    (_page, _text, block) => {
      expect(complaintsOf(block)).toEqual([]);
    },
  );

  function firstLines({ text }: Block): string {
    return text.replaceAll(/\s+/g, ' ').slice(0, 60);
  }

  test('every page of a source shows its configuration', () => {
    const sources = PAGES.filter((page) => page.startsWith('docs/sources/'));
    const without = sources.filter(
      (page) => !shown.some((block) => block.page === page && block.text.includes('"source":')),
    );
    expect(sources.length).toBeGreaterThan(3);
    expect(without).toEqual([]);
  });

  test.each(OTHERS)('%s still shows the JSON that begins with %s', (page, begins) => {
    const texts = shown
      .filter((block) => block.page === page)
      .map(({ text }) => JSON.stringify(JSON.parse(filledIn(text))));
    expect(texts.filter((text) => text.startsWith(begins))).not.toEqual([]);
  });
});
