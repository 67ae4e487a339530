import { expect, test } from '@jest/globals';
import { healthLines } from '../../src/features/doctor/command.ts';
import { plain } from '../../src/cli/terminal.ts';
import { alertFindings, healthOf, temporalFindings, unknownFindings } from '../../src/features/doctor/findings.ts';

const terminal = { columns: 200, paint: plain };
const well = temporalFindings(undefined, { version: '1.32.0' });

test('where all is well, each check has one short line', () => {
  expect(healthLines(healthOf(well), terminal)).toEqual(['All is well.', '  ok            temporal: version 1.32.0']);
});

test('a trouble comes first, with its remedy below it; what is unknown for one reason shares a line', () => {
  const unsent = { workflowId: 'alerts-a', job: 'a\u001B[2J', attempts: 2, problem: 'HTTP 500' };
  const lines = healthLines(
    healthOf([...well, ...unknownFindings('No answer.', ['disk', 'clocks']), ...alertFindings([unsent])]),
    terminal,
  );
  expect(lines).toEqual([
    '1 failed, 2 unknown, 1 ok',
    String.raw`  failed        alerts (a\u001b[2J): HTTP 500 workflow id alerts-a; attempts 2`,
    expect.stringMatching(/^ {16}Look after the webhook/),
    '  unknown       disk, clocks: No answer.',
    '  ok            temporal: version 1.32.0',
  ]);
});
