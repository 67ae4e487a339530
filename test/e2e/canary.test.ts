import { expect, test } from '@jest/globals';
import { CanaryStage } from './a-canary-stage.ts';
import { found, IN_URL, KEPT, SENT } from './canaries.ts';
import { KEY_LINES } from './canary-services.ts';
import { jsonLines, type Program } from '../support/triggers-cli.ts';

/** No secret: what must be found, or the search is worth nothing. */
const PERSON = 'ada-in-the-open';
/** Each by the authorization of that name. */
const JOBS = ['headers', 'query', 'basic', 'bearer', 'oauth2', 'signed', 'mtls'];

/** A job for each kind of authorization, of which one has existing users, whom the source has to tell. */
async function startJobs(stage: CanaryStage): Promise<void> {
  const { plain, secure } = stage.services;
  const begin = async (job: string): Promise<void> => {
    const url = `${job === 'mtls' ? secure : plain}/${IN_URL.path}?t=${IN_URL.parameter}`;
    const existing = job === 'headers' ? ['--existing-users'] : [];
    const started = ['start', '--label', job, '--audience', 'vip', '--url', url, '--authorization', job, ...existing];
    expect([job, (await stage.say(started)).code]).toEqual([job, 0]);
    const trigger = (user: string) => JSON.stringify({ event: 'enter', audience: 'vip', user, profile: { of: job } });
    const stdin = [PERSON, 'refused', 'hangs'].map(trigger).join('\n');
    expect([job, (await stage.say(['push', job, '-'], { stdin })).code]).toEqual([job, 0]);
  };
  // One after the other: at once, each would have a process of the command line to itself.
  for (const job of JOBS) await begin(job);
}

/** Whatever an operator may ask, rightly and wrongly. */
async function operate(stage: CanaryStage): Promise<void> {
  await stage.say(['edit', 'bearer', '--url', `https://elsewhere.example/${IN_URL.path}?t=${IN_URL.parameter}`]);
  await stage.say(['edit', 'bearer', '--description', 'edited']);
  const withUser = ['--label', 'no', '--audience', 'vip', '--url', `https://me:${IN_URL.userInfo}@a.example/`];
  expect((await stage.sayBothWays('start', ...withUser, '--no-authorization')).code).toBe(2);
  const ask = async (job: string): Promise<void> => {
    for (const command of ['status', 'attempts']) await stage.say([command, job]);
    expect([job, (await stage.say(['test', job, '--user', 'member'])).code]).toEqual([job, 1]);
  };
  for (const job of JOBS) await ask(job);
  await stage.say(['render', 'query', '--user', 'member']);
  for (const args of [['status'], ['attempts'], ['render', '--user', 'member'], ['test', '--user', 'member']])
    await stage.say([...args, 'headers', '--json']);
  for (const args of [['list'], ['authorizations', 'list'], ['trace', 'refused'], ['setup'], ['watch', '--list']])
    await stage.sayBothWays(...args);
  const { stdout } = await stage.sayBothWays('dead-letters', 'list');
  const letters = jsonLines<{ id: string }>(stdout);
  expect(letters.length).toBeGreaterThanOrEqual(JOBS.length);
  await stage.sayBothWays('dead-letters', 'show', letters[0]?.id ?? '');
}

/** A worker that encrypts, and whose database does not answer; what decrypts for people; and a command without the key. */
async function encrypt(stage: CanaryStage): Promise<void> {
  const env = {
    TRIGGERS_TASK_QUEUE: 'encrypted',
    TRIGGERS_PAYLOAD_KEYS: `k1:${KEPT.payloadKey}`,
    TRIGGERS_SOURCE: `postgres://me:${KEPT.database}@127.0.0.1:1/crm`,
    TRIGGERS_CODEC_TOKEN: KEPT.codecToken,
  };
  const worker = await stage.start(['worker', '--json'], env);
  const codecServer = await stage.start(['codec-server', '--port', '0', '--json'], env);
  const job = ['--label', 'encrypted', '--audience', 'vip', '--url', stage.services.plain, '--authorization', 'bearer'];
  expect((await stage.say(['start', ...job], { env })).code).toBe(1);
  const { TRIGGERS_PAYLOAD_KEYS: _, ...without } = env;
  await stage.say(['start', ...job], { env: without });
  await stage.look(worker);
  for (const program of [codecServer, worker]) {
    program.signal('SIGTERM');
    expect((await program.end()).code).toBe(0);
  }
}

/** Sends and operates, while a worker dies in the middle of it all. @returns the one that goes on. */
async function workAndDie(stage: CanaryStage): Promise<Program> {
  const { collector, seen, alerts } = stage.services;
  const first = await stage.start(['worker', '--json']);
  await startJobs(stage);
  await collector.until(() => seen.length > JOBS.length);
  await stage.look(first);
  await first.kill();
  const second = await stage.start(['worker', '--json']);
  for (const job of JOBS) await stage.untilDone(job, { delivered: job === 'headers' ? 3 : 2, dead: 1 });
  await operate(stage);
  await collector.until(() => alerts.asked.length > JOBS.length);
  return second;
}

/** Where which of the secrets are. */
function foundIn(places: Readonly<Record<string, string>>, secrets: readonly string[]): Record<string, string[]> {
  const all = Object.entries(places).map(([place, text]) => [place, found(text, secrets)] as const);
  return Object.fromEntries(all.filter(([, some]) => some.length > 0));
}

test('[S22] no secret is in histories, the database, logs, metrics, spans, alerts, process lists or printed output', async () => {
  const stage = await CanaryStage.open();
  const { services } = stage;
  const [second] = await Promise.all([workAndDie(stage), encrypt(stage)]);
  await stage.look(second);
  stage.write('key', `${SENT.header}\nsecond line`);
  await second.says(({ stderr }) => stderr.includes('cannot be used'));
  await stage.say(['stop', 'bearer', '--waiting', 'keep']);
  second.signal('SIGTERM');
  await second.end();

  // They were all used.
  expect(found(stage.sent, Object.values(SENT))).toEqual(Object.values(SENT));
  const { histories, searchAttributes } = await stage.held();
  const places = {
    histories,
    searchAttributes,
    database: await stage.database(),
    logs: stage.logs,
    said: stage.printed.join('\n'),
    metrics: stage.scraped.join('\n'),
    spans: services.collector.bodies.join('\n'),
    alerts: services.alerts.asked.map(({ body }) => body).join('\n'),
    processes: stage.processes.join('\n'),
  };
  const secrets = [...Object.values(SENT), ...Object.values(KEPT), ...KEY_LINES, IN_URL.userInfo];
  expect(foundIn(places, secrets)).toEqual({});
  // A URL's own secrets are the job's, which stands in Temporal; people are not shown them.
  const { histories: _, database: __, ...shown } = places;
  expect(foundIn(shown, Object.values(IN_URL))).toEqual({});
  // And the search does find what is there.
  for (const place of ['histories', 'database'] as const)
    expect([place, found(places[place], [PERSON, IN_URL.path])]).toEqual([place, [PERSON, IN_URL.path]]);
  expect(found(places.searchAttributes, ['refused', 'HTTP 422'])).toEqual(['refused', 'HTTP 422']);
  expect(found(places.said, ['refused', 'HTTP 422'])).toEqual(['refused', 'HTTP 422']);
  for (const [place, words] of [
    ['logs', 'attempts failed'],
    ['metrics', 'triggers_attempts_total'],
    ['spans', 'triggers.verdict'],
    ['alerts', '"alert":"dead-letters"'],
    ['processes', 'codec-server'],
  ] as const)
    expect(places[place]).toContain(words);
}, 300_000);
