import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as clientErrors from '../../src/client/errors.ts';
import { ATTEMPT_CODES, failureInWords, judge, VERDICTS } from '../../src/domain/verdict.ts';
import { ANSWER_CODES } from '../../src/sources/source.ts';
import {
  errorClasses,
  failureTypes,
  keysOf,
  logLines,
  madeClasses,
  textsAssignedTo,
  textsGivenTo,
  unionOf,
} from './what-the-code-says.ts';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

/** The entries of the page: a name, and what stands under it. */
const entries = new Map(
  [...page.matchAll(/^### (\w+)\n(.*?)(?=^##)/gms)].map(([, name = '', text = '']) => [name, text]),
);

/** The rows of the table whose first column has this title, under this heading or introduction, cell by cell. */
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
        .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
    );
}

const firstCells = (introduction: string): string[] =>
  rowsUnder(introduction)
    .map(([first = '']) => first)
    .sort();
const sorted = (names: Iterable<string>): string[] => [...names].sort();

const classes = errorClasses();
const named = [...classes.values()].filter((name) => name !== undefined);

test('every error that has a name, and every type of failure, has an entry, and every entry is of one that there is', () => {
  expect(sorted(entries.keys())).toEqual(sorted(new Set([...named, ...failureTypes()])));
});

test('every error that the client throws is in the table at the head, which leads to its entry', () => {
  const names = Object.keys(clientErrors).filter((name) => name !== 'TriggersError');
  const links = firstCells('What commands and the client say most; each name leads to its entry.');
  expect(names.filter((name) => !links.includes(`[\`${name}\`](#${name.toLowerCase()})`))).toEqual([]);
});

test('an error has the name of its class, so that either leads to the other', () => {
  for (const [name, own] of classes) expect([undefined, name]).toContain(own);
});

test('every error is made somewhere', () => {
  const made = madeClasses();
  const abstract = new Set(['TriggersError']);
  expect([...classes.keys()].filter((name) => !made.has(name) && !abstract.has(name))).toEqual([]);
});

test.each([...entries])('%s says what it means, what to do, and what happens meanwhile', (_, text) => {
  expect(text).toMatch(/^\n\S.*\n\n- To do: \S.*\n- Meanwhile: \S.*\n+$/s);
});

describe('the tables have what the code has, and nothing else', () => {
  const watch = unionOf('contract/watch.ts', 'WatchPhase');
  const refusals = [
    ...textsGivenTo('domain/trigger.ts', 'refused'),
    ...textsGivenTo('domain/job/arriving.ts', 'reject'),
  ];
  const notices = [
    ...textsGivenTo('domain/job/describing.ts', 'notices.push'),
    ...textsAssignedTo('domain/job/holders.ts', 'state.loss'),
  ];
  test.each<[string, string, Iterable<string>]>([
    ['exit codes', '## Exit codes', unionOf('cli/exit-code.ts', 'ExitCode')],
    ['codes of answers', "### Codes of a source's answers", Object.values(ANSWER_CODES)],
    ['attempt codes', '## Attempt codes', attemptCodes()],
    ['verdicts', '## Verdicts', unionOf('domain/verdict.ts', 'Verdict')],
    ['rejected signals', '## Rejected signals', refusals],
    ['states of a job', 'Of a job:', unionOf('contract/job-status.ts', 'JobState')],
    ['states of a watch', 'Of a watch:', watch],
    ['states of a dead letter', 'Of a dead letter:', unionOf('contract/dead-letter.ts', 'DeadLetterState')],
    ['notices', '## Notices', notices],
    ['log lines', '## Log lines', logLines()],
  ])('%s', (_, introduction, names) => {
    expect(sorted(names)).not.toEqual([]);
    expect(firstCells(introduction)).toEqual(sorted(names));
  });
});

/** Every code that is said in words. */
function attemptCodes(): string[] {
  const ours = new Map(Object.entries(ATTEMPT_CODES).map(([key, code]) => [`[ATTEMPT_CODES.${key}]`, code]));
  return [...keysOf('domain/verdict.ts', 'WORDS')].map((key) => ours.get(key) ?? key);
}

test('every attempt code is listed with the words that people are shown and its verdict', () => {
  for (const [code = '', words, verdict] of rowsUnder('## Attempt codes')) {
    expect({ code, words }).toEqual({ code, words: failureInWords({ code }) });
    // What was given up early, or was in a holder that was set aside, was no attempt.
    const isAttempt = code !== ATTEMPT_CODES.givenUpEarly && code !== ATTEMPT_CODES.holderSetAside;
    if (isAttempt) expect({ code, verdict }).toEqual({ code, verdict: judge({ code }) });
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
  const rows = rowsUnder('What a status means:');
  const verdictOf = (status: number): string | undefined =>
    [String(status), `${Math.floor(status / 100)}xx`]
      .map((wanted) => rows.find(([cell = '']) => cell.split(', ').includes(wanted))?.[1])
      .find((verdict) => verdict !== undefined) ?? rows.find(([cell]) => cell === 'other 4xx')?.[1];
  for (let status = 300; status < 600; status++)
    expect({ status, verdict: verdictOf(status) }).toEqual({ status, verdict: judge({ status }) });
  const asking = rows.find(([cell = '']) => cell.includes('503 with `Retry-After`'));
  expect(asking?.[1]).toBe(judge({ status: 503, retryAfterMs: 1000 }));
});
