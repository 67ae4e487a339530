import { withJobs } from '../../jobs.ts';
import { counted } from '../../numbers.ts';
import { summaryLines } from '../../render-dead-letters.ts';
import type { Terminal } from '../../terminal.ts';
import { filterFrom, filteringCommand } from './filter-options.ts';

export function listCommand(terminal: Terminal) {
  return filteringCommand('list')
    .description('show what waits for a decision, newest first')
    .option('--json', 'print JSON for machines: one dead letter a line')
    .addHelpText(
      'after',
      `
Example:
  triggers dead-letters list --failure "HTTP 422" --newer-than 2h`,
    )
    .action(async ({ json, ...options }) => {
      await withJobs(async (jobs) => {
        let found = 0;
        for await (const letter of jobs.deadLetters.list(filterFrom(options))) {
          found += 1;
          if (json === true) terminal.out(JSON.stringify(letter));
          else for (const line of summaryLines(letter, { nowMs: Date.now(), ...terminal })) terminal.out(line);
        }
        if (json !== true) terminal.err(foundText(found));
      });
    });
}

function foundText(found: number): string {
  if (found === 0) return 'No such dead letter waits.';
  return `${counted(found, 'dead letter')}. See one with: triggers dead-letters show <id>`;
}
