import { command } from '../command.ts';
import { NotTaken } from '../exit-code.ts';
import { withJobs } from '../jobs.ts';
import { sampleOf } from '../job-options.ts';
import { sampleWords, wishFrom } from '../options.ts';
import { answerLines, noteLines, outcomeOf, requestLines, testedText, warningLines } from '../render-sample.ts';
import { meaningOf } from '../../domain/sample-meaning.ts';

export const testCommand = command({
  name: 'test',
  description: 'send one message about a real person to the endpoint, and show what it answers',
  takes: sampleWords,
  notes: `The header webhook-id begins with "test-", so that a receiver can tell.
Exit code 0 only when a job would count it as delivered: a 2xx, unless its
answers say otherwise.`,
  examples: ['triggers test job.json', 'triggers test vip-to-crm --user 7076027172059065053'],
  async run([argument], options, { terminal, json, print }) {
    const wish = wishFrom(options);
    const of = sampleOf(argument);
    const sent = await withJobs((jobs) => jobs.test(of, wish));
    const { answer } = sent;
    if (!json) {
      for (const line of noteLines(testedText(sent), terminal)) terminal.err(line);
      for (const line of warningLines(sent, terminal)) terminal.err(line);
    }
    print({ ...sent, verdict: answer.verdict, meaning: meaningOf(answer, sent) }, () => [
      ...requestLines(sent, terminal),
      '',
      ...answerLines(sent, terminal),
    ]);
    if (answer.verdict !== 'delivered') throw new NotTaken(`The endpoint did not accept it: ${outcomeOf(answer)}.`);
  },
});
