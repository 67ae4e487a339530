import { sampleRequest, sendSample } from '../../client/jobs/samples.ts';
import { command, withJobs } from '../command.ts';
import { sampleOf } from '../job-options.ts';
import { sampleWords, wishFrom } from '../options.ts';
import {
  answerLines,
  noteLines,
  outcomeOf,
  requestLines,
  samplePerson,
  tableLines,
  testedText,
  warningLines,
} from '../render-sample.ts';
import { NotTaken } from '../exit-code.ts';
import { meaningOf } from '../../domain/sample-meaning.ts';

export const renderCommand = command({
  name: 'render',
  description: 'show the request that a job would send about a real person; nothing is sent',
  takes: sampleWords,
  notes: `Secrets are masked (…): the URL's path, what an authorization adds, signatures.
The body is shown as it is sent.`,
  examples: ['triggers render job.json', 'triggers render vip-to-crm --user 7076027172059065053 --event exit --legacy'],
  async run([argument], options, { terminal, json, print }) {
    const wish = wishFrom(options);
    const of = sampleOf(argument);
    const sample = await withJobs((jobs) => sampleRequest(jobs.core, of, wish));
    if (!json) {
      for (const line of noteLines(`${samplePerson(sample)}. Nothing was sent.`, terminal)) terminal.err(line);
      for (const line of warningLines(sample, terminal)) terminal.err(line);
    }
    print(sample, () => requestLines(sample, terminal));
    if (!json) for (const line of ['', ...tableLines(sample, terminal)]) terminal.err(line);
  },
});

export const testCommand = command({
  name: 'test',
  description: 'send one message about a real person to the endpoint, and show what it answers',
  takes: sampleWords,
  notes: `The header webhook-id begins with "test-", so receivers can recognise a test.
Exit code 0 only when a job would count it as delivered: a 2xx, unless its
answers say otherwise.`,
  examples: ['triggers test job.json', 'triggers test vip-to-crm --user 7076027172059065053'],
  async run([argument], options, { terminal, json, print }) {
    const wish = wishFrom(options);
    const of = sampleOf(argument);
    const sent = await withJobs((jobs) => sendSample(jobs.core, of, wish));
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
