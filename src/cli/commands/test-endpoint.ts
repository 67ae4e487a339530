import { withJobs } from '../jobs.ts';
import { NotTaken } from '../not-taken.ts';
import { answerLines, meaningOf, noteLines, outcomeOf, requestLines, testedText, verdictOf } from '../render-sample.ts';
import { sampleCommand, sampleOf, wishFrom } from '../sample-options.ts';
import type { Terminal } from '../terminal.ts';

export function testCommand(terminal: Terminal) {
  return sampleCommand('test')
    .description('send one message about a real person to the endpoint, and show what it answers')
    .addHelpText(
      'after',
      `
The header webhook-id begins with "test-", so that a receiver can tell.
Exit code 0 for a 2xx only.

Examples:
  triggers test job.json
  triggers test vip-to-crm --user 7076027172059065053`,
    )
    .action(async (argument, { json, ...options }) => {
      const wish = wishFrom(options);
      const of = sampleOf(argument);
      const sent = await withJobs((jobs) => jobs.test(of, wish));
      const { answer } = sent;
      if (json === true) {
        terminal.out(JSON.stringify({ ...sent, verdict: verdictOf(answer), meaning: meaningOf(answer) }));
      } else {
        for (const line of noteLines(testedText(sent), terminal)) terminal.err(line);
        for (const line of [...requestLines(sent, terminal), '', ...answerLines(answer, terminal)]) terminal.out(line);
      }
      if (!answer.ok) throw new NotTaken(`The endpoint did not accept it: ${outcomeOf(answer)}.`);
    });
}
