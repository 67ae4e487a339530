import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ATTEMPT_CODES, failureInWords, judge, VERDICTS } from '../../src/domain/verdict.ts';
import { ANSWER_CODES } from '../../src/sources/source.ts';
import { errorClasses, failureTypes, keysOf, madeClasses, unionOf } from './what-the-code-says.ts';

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

test('every error that has a name, and every type of failure, has a row, and every row is of one that there is', () => {
  const headings = ['Commands and the client', 'Audience sources', 'Types of failure', 'On the way to an endpoint'];
  const rows = headings.flatMap((heading) => codesUnder(`## ${heading}`));
  expect(sorted(rows)).toEqual(sorted(new Set([...named, ...failureTypes()])));
});

test.each(['## Commands and the client', '## Audience sources', '## On the way to an endpoint'])(
  'the rows under %s say when an error comes as its class does, and what to do',
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
    ['verdicts', '## Verdicts', unionOf('domain/verdict.ts', 'Verdict')],
    ['states of a job', 'Of a job:', unionOf('contract/job-status.ts', 'JobState')],
    ['states of a watch', 'Of a watch:', unionOf('contract/watch.ts', 'WatchPhase')],
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
    // What was given up early, or was in a holder that was set aside, was no attempt.
    const isAttempt = code !== ATTEMPT_CODES.givenUpEarly && code !== ATTEMPT_CODES.holderSetAside;
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
      .flatMap(([name, meaning]) => (meaning.wasAsked === wasAsked ? [name] : []))
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
