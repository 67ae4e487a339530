import { NoSample } from '../../src/features/preview/no-sample.ts';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { UsageError } from '../../src/cli/exit-code.ts';
import { newJob, type NewJobOptions } from '../../src/features/wizard/command.ts';
import { InvalidJob, JobAlreadyRunning, JobRecoverable, NoWorker } from '../../src/client/calls/errors.ts';
import type { JobDefinitionInput, PreparedJob, Problem, SentSample } from '../../src/app/export-jobs.ts';
import { checkJobDefinition } from '../../src/contract/export-job.ts';
import { DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';
import { verdictOf } from '../../src/domain/verdict.ts';
import { aPerson, CTRL_C } from './a-person.ts';

const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP', size: 1200 };
const NEWS = { id: 'b'.repeat(32), slug: 'news', name: 'Newsletter' };
const NONE = 'Webhook endpoint does not require authorization';
const HOOK = 'https://hooks.example.com/s3cret';
/** Where the questions stand, for people who read before they type. */
const page = readFileSync(new URL('../../docs/setup.md', import.meta.url), 'utf8');
/** The shortest way through the form. */
const SHORT = [NONE, 'VIP', '', ['vip (1,200 members)'], HOOK, [], false, false, '', []];

interface World {
  readonly problems?: (definition: JobDefinitionInput) => Problem[];
  readonly fields?: string[];
  readonly files?: string[];
  readonly fails?: Error[];
  readonly sampleFails?: Error;
  /** The endpoint's answer to a test; default: 200. */
  readonly status?: number;
  /** How many audiences there are; default: the two that are listed. */
  readonly total?: number;
}

/** The dialogue between a person and a worker that answers as told; what happened is written down. */
function dialogue(answers: Parameters<typeof aPerson>[0], world: World = {}) {
  const person = aPerson(answers);
  const said: string[] = [];
  const did: unknown[] = [];
  const fails = [...(world.fails ?? [])];
  const { status = 200 } = world;
  const sample = (isLegacy = false): SentSample => ({
    user: '1',
    audience: VIP,
    event: 'enter',
    request: { method: 'POST', url: '', headers: [], body: isLegacy ? '{"old":1}' : '{"new":1}', bodyBytes: 9 },
    answer: {
      ok: status < 300,
      status,
      verdict: verdictOf({ ok: status < 300, status }),
      durationMs: 5,
      isSecond: false,
    },
  });
  const options: NewJobOptions = {
    ask: person.ask,
    say: (line) => said.push(line),
    columns: 80,
    save: (file, text) => {
      if (file.startsWith('/none/')) throw new UsageError(`The file ${file} cannot be written.`);
      if (world.files?.includes(file) === true) return false;
      did.push(['save', file, JSON.parse(text)]);
      return true;
    },
    jobs: {
      authorizations: async () => [
        { name: 'crm', kinds: ['bearer token'], origins: ['https://a.example'], signingSecretsEnd: [] },
      ],
      audiences: async () => ({ audiences: [VIP, NEWS], total: world.total ?? 2 }),
      profileFields: async (slug) =>
        slug === 'vip' ? (world.fields ?? ['email', 'name', 'user_attributes.value']) : [],
      check: async (definition): Promise<PreparedJob> => {
        const checked = checkJobDefinition(definition);
        if (!checked.ok) return checked;
        const problems = world.problems?.(checked.value) ?? [];
        if (problems.length > 0) return { ok: false, problems };
        return {
          ok: true,
          definition: checked.value,
          audiences: [VIP],
          warnings: ['The audience looks back over 15 minutes.'],
          sourceLagMs: 0,
          missingSearchAttributes: [],
          requestTimeoutMs: 15_000,
          alertBacklogMs: 900_000,
          serverLimits: DEFAULT_SERVER_LIMITS,
        };
      },
      sample: async (_, wish) => {
        if (world.sampleFails !== undefined) throw world.sampleFails;
        return sample(wish?.userLegacyMessageFormat);
      },
      test: async () => {
        did.push(['test']);
        return sample();
      },
      start: async (definition, naming) => {
        const jobId = naming?.jobId;
        const error = fails.shift();
        if (error !== undefined) throw error;
        did.push(['start', definition, jobId]);
        const id = jobId ?? 'vip';
        return {
          jobId: id,
          workflowId: '',
          runId: '',
          audiences: [VIP],
          warnings: [],
          twins: [],
          missingSearchAttributes: [],
        };
      },
    },
  };
  return { ...person, said, did, run: () => newJob(options) };
}

test('asks the steps of the form in the order and the words of the page, and starts what was answered', async () => {
  const { run, asked, did, left } = dialogue([
    'crm',
    'VIP to CRM',
    'For the sales team.',
    ['vip (1,200 members)'],
    HOOK,
    ['email', 'user_attributes.value'],
    true,
    true,
    '20',
    '500',
    [],
    'Start Export',
  ]);
  await expect(run()).resolves.toMatchObject({ started: { jobId: 'vip' } });
  expect(asked.map(({ message }) => message)).toEqual([
    'Authorization',
    'Label',
    'Description (optional)',
    'Audiences',
    'Webhook URL',
    'Export Fields (optional; none: all)',
    'Existing Users: first send the 1,200 users who are already part of the audience, as entered?',
    'User Legacy Message Format: use the old format?',
    'Parallel Request Count (optional)',
    'Existing users a second (empty: no limit)',
    'More (optional; none: as usual)',
    'What next?',
  ]);
  for (const { message } of asked) expect(page).toContain(message.replace('1,200', '3'));
  const definition = {
    label: 'VIP to CRM',
    description: 'For the sales team.',
    audiences: ['vip'],
    webhookUrl: HOOK,
    authorization: 'crm',
    exportFields: ['email', 'user_attributes.value'],
    existingUsers: true,
    userLegacyMessageFormat: true,
    parallelRequestCount: 20,
    backfillPerSecond: 500,
  };
  expect([did, left]).toEqual([[['start', definition, undefined]], []]);
});

test('the form lets people skip optional fields, and lets an endpoint require no authorization', async () => {
  const { run, did, asked } = dialogue([...SHORT, 'Start Export']);
  await run();
  expect(did).toMatchObject([['start', { authorization: null, exportFields: [], parallelRequestCount: 5 }, undefined]]);
  expect(did).not.toHaveProperty('0.1.description');
  expect(asked.map(({ message }) => message)).not.toContain('Existing users a second (empty: no limit)');
});

test('a line that the form does not take is refused as it is typed, in the form’s words', async () => {
  const { run, asked } = dialogue([
    NONE,
    '',
    'VIP',
    '',
    ['vip (1,200 members)'],
    'example.com',
    'https://me:pw@a.example/',
    HOOK,
    [],
    true,
    false,
    'many',
    '501',
    '7',
    '-1',
    '',
    [],
    'Start Export',
  ]);
  await run();
  const refused = asked.flatMap((one) => one.refused);
  expect(refused).toEqual([
    'The label must not be empty.',
    expect.stringContaining('not a web address'),
    expect.stringContaining('must not contain a user name'),
    'Enter a whole number.',
    expect.stringContaining('at most 500'),
    expect.stringContaining('above 0'),
  ]);
});

test("the form shows a worker's problems once it has an address, and asks again only for the wrong answer", async () => {
  const problems = ({ webhookUrl }: JobDefinitionInput): Problem[] =>
    webhookUrl === HOOK ? [] : [{ field: 'webhookUrl', message: 'Not there.' }];
  const [, ...rest] = SHORT.slice(4);
  const { run, said, asked } = dialogue([...SHORT.slice(0, 4), 'https://10.0.0.1/', HOOK, ...rest, 'Start Export'], {
    problems,
  });
  await run();
  expect(said.slice(0, 2)).toEqual(['  webhookUrl  Not there.', 'Warning: The audience looks back over 15 minutes.']);
  expect(asked.map(({ message }) => message).slice(4, 7)).toEqual([
    'Webhook URL',
    'Webhook URL',
    'Export Fields (optional; none: all)',
  ]);
});

test('the form asks again for URL and authorization when they do not match, since either may be wrong', async () => {
  const problems = ({ webhookUrl }: JobDefinitionInput): Problem[] =>
    webhookUrl === HOOK ? [] : [{ field: 'authorization', message: 'Not there.' }];
  const typed = ['crm', 'VIP', '', ['vip (1,200 members)'], 'https://hook.example.com/', 'crm', HOOK];
  const { run, did, asked } = dialogue([...typed, ...SHORT.slice(5), 'Start Export'], { problems });
  await run();
  expect(asked.map(({ message }) => message).slice(4, 7)).toEqual(['Webhook URL', 'Authorization', 'Webhook URL']);
  expect(did).toMatchObject([['start', { authorization: 'crm', webhookUrl: HOOK }, undefined]]);
});

test('an answer can be changed before the start, with what belongs to it, and the rest stays', async () => {
  const again = ['Change an answer', 'Existing Users', true, '500', 'Change an answer', 'Label', 'VIP 2'];
  const { run, did, said, asked } = dialogue([...SHORT, ...again, 'Start Export']);
  await run();
  const definition = { label: 'VIP 2', webhookUrl: HOOK, existingUsers: true, backfillPerSecond: 500 };
  expect(did).toMatchObject([['start', definition, undefined]]);
  expect(asked.filter(({ message }) => message === 'Webhook URL')).toHaveLength(1);
  expect(said.filter((line) => line.startsWith('  Label'))).toEqual([
    '  Label         VIP',
    '  Label         VIP',
    '  Label         VIP 2',
  ]);
});

test('a changed answer is shown to a worker like the first one', async () => {
  const problems = ({ webhookUrl }: JobDefinitionInput): Problem[] =>
    webhookUrl === HOOK ? [] : [{ field: 'webhookUrl', message: 'Not there.' }];
  const again = ['Change an answer', 'Webhook URL', 'https://10.0.0.1/', HOOK];
  const { run, said } = dialogue([...SHORT, ...again, 'Leave without starting'], { problems });
  await run();
  expect(said).toContain('  webhookUrl  Not there.');
});

test('both payloads are shown before the format is chosen', async () => {
  const { run, said } = dialogue([...SHORT, 'Leave without starting']);
  await run();
  expect(said).toEqual(
    expect.arrayContaining(['New format (default):\n{\n  "new": 1\n}\n', 'Old format:\n{\n  "old": 1\n}\n']),
  );
});

test('without a profile there is nothing to pick or to show, and the form goes on', async () => {
  const sampleFails = new NoSample({ field: 'user', message: 'No member has a profile. Name a person: --user' });
  const answers = [...SHORT.slice(0, 5), ...SHORT.slice(6), 'Start Export'];
  const { run, said, did } = dialogue(answers, { fields: [], sampleFails });
  await run();
  expect(said).toContain('The payloads cannot be shown: no member has a profile yet.');
  expect(did).toHaveLength(1);
});

test('an audience whose size the source does not tell is listed without one, and everybody is asked about', async () => {
  const answers = [...SHORT.slice(0, 3), ['news'], HOOK, ...SHORT.slice(6), 'Leave without starting'];
  const { run, asked } = dialogue(answers);
  await run();
  expect(asked.find(({ message }) => message === 'Audiences')?.choices).toEqual(['vip (1,200 members)', 'news']);
  expect(asked.map(({ message }) => message).join()).toContain(
    'first send everybody who is already part of the audience',
  );
});

test('a test is sent only when it is chosen, then the person is asked again', async () => {
  const { run, did, said } = dialogue([...SHORT, 'Send a test first', 'Leave without starting']);
  await expect(run()).resolves.toBeUndefined();
  expect(did).toEqual([['test']]);
  expect(said).toContain('  Answer        HTTP 200');
});

test('a test that the endpoint does not accept is a failure, too', async () => {
  const { run, asked } = dialogue([...SHORT, 'Send a test first', 'Leave without starting'], { status: 500 });
  await run();
  expect(asked.at(-1)).toMatchObject({ message: 'What next?', first: 'Change an answer' });
});

test('the job file that is saved is what would be started, and no file is written over', async () => {
  const { run, did, said } = dialogue([...SHORT, 'Save as a job file', '', 'vip.json', 'Start Export'], {
    files: ['job.json'],
  });
  await run();
  const [saved, started] = did as [[string, string, object], [string, object]];
  expect(saved.slice(0, 2)).toEqual(['save', 'vip.json']);
  expect(saved[2]).toEqual(started[1]);
  expect(checkJobDefinition(saved[2])).toMatchObject({ ok: true });
  expect(said).toContain('The file job.json already exists. Choose another name.');
});

const LEFT = {
  ended: 'terminated',
  kept: false,
  waiting: 8,
  backfill: true,
  letters: 0,
  recoverableUntil: '2026-11-26T08:30:00.000Z',
};

test.each([
  ['runs already', new JobAlreadyRunning('vip')],
  ['can be recovered', new JobRecoverable('vip', LEFT)],
])('the form asks for another id when a job of that name %s', async (_, failure) => {
  const fails = [failure];
  const { run, did } = dialogue([...SHORT, 'Start Export', 'no/such id', 'vip-2'], { fails });
  await run();
  expect(did).toMatchObject([['start', { label: 'VIP' }, 'vip-2']]);
});

test('the form asks for an id when the label makes none', async () => {
  const fails = [new InvalidJob([{ field: 'id', message: 'No job id can be made from this label.' }])];
  const { run, did, said } = dialogue([...SHORT, 'Start Export', 'vip-3'], { fails });
  await run();
  expect(did).toMatchObject([['start', {}, 'vip-3']]);
  expect(said).toContain('  id  No job id can be made from this label.');
});

test('a problem that no question of the form can correct ends it, rather than asking forever', async () => {
  const { run } = dialogue(SHORT, { problems: () => [{ field: '', message: 'No.' }] });
  await expect(run()).rejects.toMatchObject({ name: 'InvalidJob' });
});

test('a source without audiences, or with more than are listed, is reported as such', async () => {
  await expect(dialogue([], { total: 0 }).run()).rejects.toMatchObject({ name: 'UsageError' });
  const { run, said } = dialogue([...SHORT, 'Leave without starting'], { total: 5000 });
  await run();
  expect(said[0]).toBe('The source has 5,000 audiences; the first 2 are listed. A job file can name any of them.');
});

test('a choice that the form does not accept is reported and asked again', async () => {
  const { run, said, asked } = dialogue([...SHORT.slice(0, 3), [], ...SHORT.slice(3), 'Leave without starting']);
  await run();
  expect(said[0]).toBe('Choose at least one audience.');
  expect(asked.filter(({ message }) => message === 'Audiences')).toHaveLength(2);
});

test('a file that cannot be written is reported, and another one is asked for', async () => {
  const answers = [...SHORT, 'Save as a job file', '/none/job.json', 'job.json'];
  const { run, did, said } = dialogue([...answers, 'Leave without starting']);
  await expect(run()).resolves.toBe('saved');
  expect(said).toContain('The file /none/job.json cannot be written.');
  expect(did).toMatchObject([['save', 'job.json', {}]]);
});

test('changes to a saved form are lost for a person who leaves without saving', async () => {
  const changed = ['Change an answer', 'Label', 'VIP 2', 'Leave without starting'];
  const { run } = dialogue([...SHORT, 'Save as a job file', 'job.json', ...changed]);
  await expect(run()).resolves.toBeUndefined();
});

test('a failure at the end loses no answers, and another Enter does not start the job', async () => {
  const fails = [new NoWorker('q', undefined, 10_000)];
  const { run, did, said, asked } = dialogue([...SHORT, 'Start Export', 'Send a test first', 'Start Export'], {
    fails,
  });
  await run();
  const firsts = asked.flatMap(({ message, first }) => (message === 'What next?' ? [first] : []));
  expect(firsts).toEqual(['Start Export', 'Change an answer', 'Start Export']);
  did.shift();
  expect(did).toHaveLength(1);
  expect(said.join('\n')).toContain('No worker polls');
});

test.each(SHORT.map((_, question) => question).concat(SHORT.length))(
  'Ctrl-C at question %i starts, sends and saves nothing',
  async (question) => {
    const { run, did } = dialogue([...SHORT.slice(0, question), CTRL_C]);
    await expect(run()).rejects.toMatchObject({ name: 'UserAborted', message: 'Nothing was started.' });
    expect(did).toEqual([]);
  },
);

test('the form takes each further setting on one line, checks it while typed, and summarizes it', async () => {
  const more = [
    'Events',
    'Memberships',
    'Method',
    'Body',
    'CloudEvents',
    'Batch',
    'Requests a second',
    'Ends',
    'Retries for',
  ];
  const batch = ['0', '{"size": 0}', '{"size": 75}'];
  const end = '2030-01-01T00:00:00Z';
  const first = ['Enters only', true, 'PUT', '{"id": {{ id | json }}}', false];
  const typed = [...first, ...batch, 'many', '0.5', 'tomorrow', end, '5', '6h'];
  const answers = [...SHORT.slice(0, -1), more, ...typed, 'Start Export'];
  const { run, did, said, asked, left } = dialogue(answers);
  await run();
  expect(left).toEqual([]);
  const definition = {
    memberships: true,
    events: ['enter'],
    method: 'PUT',
    body: '{"id": {{ id | json }}}',
    envelope: null,
    batch: { size: 75 },
    requestsPerSecond: 0.5,
    retryFor: '6h',
    endsAt: end,
  };
  expect(did).toMatchObject([['start', definition, undefined]]);
  expect(asked.flatMap((one) => one.refused)).toEqual([
    expect.stringMatching(/^A batch is an object/),
    expect.stringMatching(/^The size of a batch/),
    'Enter a number above 0.',
    expect.stringMatching(/^The end must be a time with its zone, such as .*Z"\.$/),
    'How long a trigger is retried must be a duration from "1m" to "7d", such as "90s", "30m" or "6h".',
  ]);
  expect(said).toEqual(
    expect.arrayContaining([
      '  Memberships   yes',
      '  Events        ["enter"]',
      '  Retries for   6h',
      `  Ends          ${end}`,
    ]),
  );
  expect(said.filter((line) => line.startsWith('  CloudEvents'))).toEqual([]);
});

test('the form takes objects as job files write them, checks them, and hides the path of webhook URLs', async () => {
  const typed = {
    Headers: '{"x-list": "7"}',
    'Content type': 'text/plain',
    Body: '{{ id }}',
    'For enters': '',
    'For exits': '{"webhookUrl": "https://hooks.example.com/s3cret", "method": "DELETE", "body": ""}',
    'Quiet hours': '{"from": "22:00", "to": "08:00", "timeZone": "Europe/Berlin"}',
    Quota: '{"people": 1000, "per": "day", "timeZone": "Europe/Berlin"}',
    Answers: '{"404": "delivered"}',
  };
  const wrong = ['{x-list: 7}', '{"webhook-id": "7"}'];
  const answers = [...SHORT.slice(0, -1), Object.keys(typed), ...wrong, ...Object.values(typed), 'Start Export'];
  const { run, did, said, asked, left } = dialogue(answers);
  await run();
  expect(left).toEqual([]);
  const definition = {
    headers: { 'x-list': '7' },
    contentType: 'text/plain',
    body: '{{ id }}',
    onEnter: null,
    onExit: { webhookUrl: 'https://hooks.example.com/s3cret', method: 'DELETE', body: '' },
    answers: { '404': 'delivered' },
    quietHours: { from: '22:00', to: '08:00', timeZone: 'Europe/Berlin' },
    quota: { people: 1000, per: 'day', timeZone: 'Europe/Berlin' },
  };
  expect(did).toMatchObject([['start', definition, undefined]]);
  expect(asked.flatMap((one) => one.refused)).toEqual([
    'Write it as in a job file: {"x-list": "7"}',
    'The worker sets this header itself.',
  ]);
  expect(said.join('\n')).toContain('https://hooks.example.com/…');
  expect(said.join('\n')).not.toContain('s3cret');
  expect(said.join('\n')).toContain('"people":1000');
});

test('the form asks again about answers that do not go together, and lets people take them back', async () => {
  const problems = ({ memberships }: JobDefinitionInput): Problem[] =>
    memberships === true ? [{ field: 'memberships', message: 'The source does not say.' }] : [];
  const first = [...SHORT.slice(0, 6), true, false, '', '', ['Events', 'Memberships'], 'Exits only', true];
  const again = ['Change an answer', 'More', ['Events', 'Requests a second'], 'Enters and exits', ''];
  const { run, did, said, left } = dialogue([...first, false, false, ...again, 'Start Export'], { problems });
  await run();
  expect(left).toEqual([]);
  expect(said).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^ +existingUsers +Existing users are sent as enters/),
      expect.stringMatching(/^ +memberships +The source does not say\.$/),
    ]),
  );
  const definition = { existingUsers: false, memberships: false, events: null, requestsPerSecond: null };
  expect(did).toMatchObject([['start', definition, undefined]]);
});
