import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Locator, Page } from 'playwright-core';
import type { Api } from '../../src/app/api.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { newApiKey } from '../../src/config/references.ts';
import { type Recorder, startRecorder } from '../../demo/recorder.ts';
import { apiOf } from '../api/an-api.ts';
import { describeWithBrowser, looked, NARROW, pressable, signIn, TestBrowser } from '../support/browser.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** What changes a watch; a command of one can be copied by everybody. */
const WATCH_ACTIONS = /^(?:Watch an audience|Accept|Start round|Change|Stop)$/;

const id = (): string => randomBytes(16).toString('hex');
const VIPS = { id: id(), slug: `vips-${id().slice(0, 6)}`, name: 'Very important people' };
const NEWS = { id: id(), slug: `news-${id().slice(0, 6)}`, name: 'Readers' };
const WATCHED = { id: id(), slug: `watched-${id().slice(0, 6)}`, name: 'Watched closely' };
const folder = tempFolder();
const MEMBERS = Array.from({ length: 230 }, (_, i) => `member-${i}`);

let lab: Lab;
let api: Api;
let browser: TestBrowser;

const openApi = async (keys: ConfiguredApiKeys = {}) =>
  await apiOf(lab, { keys }, (fields) => browser.mistakes.push(JSON.stringify(fields)));

const trigger = async (job: string, user: string, event: 'enter' | 'exit' = 'enter'): Promise<void> => {
  await lab.jobs.push(job, [{ audience: VIPS.slug, user, event, profile: { email: `${user}@example.com` } }]);
};

/** The link to a job in the list, which has the jobs of all tests, some hundreds. */
async function findJob(page: Page, label: string): Promise<Locator> {
  await page.getByLabel('Search jobs').fill(label);
  return page.getByRole('link', { name: label });
}

/** A job of the console's own, whose answers can be chosen. */
async function started(label: string, receiver: Recorder, more: object = {}): Promise<string> {
  const { jobId } = await lab.jobs.start({
    label,
    audiences: [VIPS.slug],
    webhookUrl: receiver.url,
    authorization: null,
    ...more,
  });
  return jobId;
}

describeWithBrowser('the console', () => {
  beforeAll(async () => {
    const profiles = Object.fromEntries(MEMBERS.map((user) => [user, { email: `${user}@example.com`, name: user }]));
    const audiences = [
      { ...VIPS, size: MEMBERS.length, members: MEMBERS },
      { ...NEWS, size: 1, members: MEMBERS.slice(0, 1) },
      { ...WATCHED, windowMinutes: 15, members: MEMBERS.slice(0, 40) },
    ];
    lab = await Lab.open({ content: { audiences, profiles }, config: { watch: { folder } } });
    browser = await TestBrowser.start();
    api = await openApi();
  });
  afterAll(async () => {
    await api.close();
    await browser.close();
    await lab.close();
  });

  test('sends a test, and says what its answer would mean', async () => {
    const endpoint = await startRecorder({ answer: () => ({ status: 404 }) });
    const { page } = await browser.open(`${api.url}/new`);
    await page.getByLabel(VIPS.name).check();
    await page.getByLabel('Webhook URL').fill(endpoint.url);
    await page.getByLabel('Webhook endpoint does not require authorization').check();
    await page.getByLabel('Label', { exact: true }).fill('Only tried');
    await page.getByRole('button', { name: 'Send test' }).click();
    await page.getByText('triggers test job.json --event enter', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Send it once' }).click();
    await page.getByText('HTTP 404').first().waitFor();
    await page.getByText(/check the webhook URL and the authorization/).waitFor();
    expect(endpoint.ledger.entries).toHaveLength(1);
    await looked(page, 'test-answer');
    await endpoint.close();
  });

  test('shows a failing endpoint and why, a person and what they got, and what an edit changes', async () => {
    const endpoint = await startRecorder({ answer: () => ({ status: 503 }) });
    const job = await started('Failing', endpoint);
    await trigger(job, 'unlucky');
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    await page.getByText('HTTP 503').first().waitFor();
    await page
      .getByText(/1 trigger waits/)
      .first()
      .waitFor();
    await page.getByRole('link', { name: 'unlucky' }).first().click();
    await page.getByText('Signalled: enter').waitFor();
    await page.getByText('1 trigger waits', { exact: false }).first().waitFor();
    await looked(page, 'person');

    await page.goto(`${api.url}/jobs/${job}/edit`);
    await page.getByLabel('Webhook URL').fill(lab.receiver.url);
    await page.getByLabel(/Parallel Request Count/).fill('7');
    await looked(page, 'edit');
    await page.getByRole('button', { name: 'Save 2 changes' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Parallel request count', { exact: true }).waitFor();
    await looked(page, 'edit-changes');
    await dialog.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('heading', { name: 'Failing' }).waitFor();
    await until(async () => (await lab.jobs.status(job)).parallelRequestCount === 7);

    // Stop it, with what becomes of what waits.
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByLabel(/Keep them/).check();
    await page.getByLabel('Reason (optional)').fill('it moves');
    await page.getByText(`triggers stop ${job} --waiting keep --reason 'it moves'`).waitFor();
    await looked(page, 'stop');
    await page.getByRole('dialog').getByRole('button', { name: 'Stop', exact: true }).click();
    await page
      .getByText(/Stopped/)
      .first()
      .waitFor();
    const history = page.getByRole('region', { name: 'History' });
    await history.getByRole('row', { name: /console stopped, what waits is kept it moves/ }).waitFor();
    await history.getByText('parallelRequestCount 5 → 7').waitFor();
    await endpoint.close();
  });

  test('redelivers a dead letter, and discards others only after they were counted', async () => {
    const endpoint = await startRecorder({ answer: () => ({ status: 422 }) });
    const job = await started('Refused', endpoint, { answers: { '422': 'dead-letter' } });
    for (const user of ['one', 'two', 'three']) await trigger(job, user);
    await until(async () => (await lab.jobs.status(job)).deadLettersWaiting === 3);
    const { page } = await browser.open(`${api.url}/dead-letters?job=${job}`);
    await page.getByRole('button', { name: 'Show the dead letter of two' }).waitFor();
    await looked(page, 'dead-letters');
    // A double click is one press: it neither redelivers nor discards what nobody has read yet.
    await page.getByRole('button', { name: 'Show the dead letter of two' }).dblclick();
    await page.getByText('two@example.com').waitFor();
    const decisions = watchDecisions(page);
    await page.getByRole('button', { name: 'Discard …' }).dblclick();
    await page.getByText('This cannot be undone').waitFor();
    await looked(page, 'dead-letter-discard');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText(/^triggers dead-letters redeliver [\w-]+$/).waitFor();
    await looked(page, 'dead-letter');
    await page.getByRole('dialog').getByRole('button', { name: 'Redeliver', exact: true }).click();
    // By the source, the person is no member: that is said, and somebody has to insist.
    await page.getByLabel('Send it even if the source now says otherwise').check();
    await page.getByText(/^triggers dead-letters redeliver \S+ --force$/).waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Redeliver', exact: true }).click();
    await until(() => endpoint.ledger.entries.filter(({ message }) => message?.user === 'two').length === 2);

    await page.getByRole('button', { name: 'Redeliver these' }).click();
    await page.getByRole('button', { name: 'Count them' }).click();
    await page.getByRole('button', { name: /^Redeliver [23]$/ }).click();
    // It says why and who, in one group, and not how that is done over HTTP or in a terminal.
    await page.getByText(/dead letters were not: The person is not in the audience today/).waitFor();
    const decision = page.getByRole('region', { name: /^0 dead letters/ });
    await decision.getByRole('link', { name: 'three' }).waitFor();
    expect(await page.getByText('POST /v1').or(page.getByText('--force')).count()).toBe(0);
    await looked(page, 'not-redelivered');
    await decision.getByRole('link', { name: 'three' }).click();
    await page.getByText('three@example.com').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await decision.getByRole('button', { name: 'Dismiss' }).click();
    await decision.waitFor({ state: 'detached' });
    await page.goto(`${api.url}/dead-letters?job=${job}`);

    await page.getByRole('button', { name: 'Discard these' }).click();
    await page.getByRole('button', { name: 'Count them' }).dblclick();
    await page.getByText('This cannot be undone.').waitFor();
    // The second press of that double click discarded nothing: they were only counted.
    expect(decisions).toEqual(['redeliver', 'redeliver', 'redeliver', 'redeliver?background=1', 'discard']);
    await page.getByRole('button', { name: /^Discard [23]$/ }).click();
    await page.getByText(/dead letters? of refused (?:was|were) discarded/).waitFor();
    await looked(page, 'discarded');
    await endpoint.close();
  });

  test('shows what comes in', async () => {
    const { page } = await browser.open(`${api.url}/inputs`);
    await page.getByText('No ingests').waitFor();
    await looked(page, 'inputs');
  });

  test('shows what is wrong, and checks again when asked', async () => {
    const { page } = await browser.open(`${api.url}/health`);
    const workers = page.getByRole('row').filter({ hasText: lab.taskQueue });
    await workers.getByText('releases').waitFor();
    await looked(page, 'health');
    const answered = page.waitForResponse(`${api.url}/v1/health`);
    await page.getByRole('button', { name: 'Check again' }).click();
    expect((await answered).status()).toBe(200);
    // What is wrong needs no scrolling within the page, and no name disguises it.
    const one = {
      check: 'jobs',
      state: 'failed',
      job: 'crm\u202Ekcuts',
      facts: {},
      problem: 'Its workflow task fails.',
    };
    const many = { state: 'failed', findings: Array.from({ length: 30 }, () => one) };
    await page.route('**/v1/health', (route) => route.fulfill({ json: many }));
    await page.getByRole('button', { name: 'Check again' }).click();
    await page
      .getByText(String.raw`crm\u202ekcuts`)
      .last()
      .waitFor();
    const table = page.getByRole('group', { name: 'Findings' });
    expect(await table.evaluate((shown) => shown.scrollHeight - shown.clientHeight)).toBe(0);
  });

  test('watches an audience, accepts a held round, changes the watch, and stops it', async () => {
    const { watches } = lab.jobs;
    const { page } = await browser.open(`${api.url}/inputs`, { viewport: NARROW });
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Watch an audience' }).click();
    await dialog.getByLabel('Audience', { exact: true }).fill(WATCHED.slug);
    await dialog.getByLabel('Start a round every').fill('8d');
    await dialog.getByRole('button', { name: 'Watch it', disabled: true }).waitFor();
    await dialog.getByLabel('Start a round every').fill('2h');
    await dialog.getByText(`triggers watch ${WATCHED.slug} --every 2h`, { exact: true }).waitFor();
    for (const [field, wrong, right] of [
      [/^Hold a round when more/, '0', '20'],
      ['Audience', ' ', WATCHED.slug],
    ] as const) {
      await dialog.getByLabel(field, { exact: true }).fill(wrong);
      await dialog.getByRole('button', { name: 'Watch it', disabled: true }).waitFor();
      await dialog.getByLabel(field, { exact: true }).fill(right);
    }
    await looked(page, 'watch-narrow');
    await dialog.getByRole('button', { name: 'Watch it' }).click();
    // What is to be known of it is said before it is gone.
    await dialog.getByText('looks back over 15 minutes').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
    await until(async () => (await watches.status(WATCHED.id)).rounds === 1);

    for (const user of MEMBERS.slice(0, 20)) lab.source.exit(WATCHED.id, user);
    const action = (name: string) => page.getByRole('button', { name: `${name}: the watch of ${WATCHED.slug}` });
    await action('Start round').waitFor();
    expect(await action('Accept').count()).toBe(0);
    await action('Start round').click();
    await dialog.getByText(`triggers watch ${WATCHED.slug} --now`, { exact: true }).waitFor();
    await dialog.getByRole('button', { name: 'Start round' }).click();
    await page.getByText('20 members would leave at once and 20 would remain').waitFor();
    await looked(page, 'watches-narrow');
    // Since some are back, another round alone would hold them again.
    for (const user of MEMBERS.slice(0, 5)) lab.source.enter(WATCHED.id, user);
    await action('Accept').click();
    await dialog.getByText('20 members would leave and 20 would remain').waitFor();
    await dialog.getByRole('button', { name: 'Accept', exact: true }).click();
    await until(async () => (await watches.status(WATCHED.id)).exits === 15);
    await action('Accept').waitFor({ state: 'detached' });

    await action('Change').click();
    await dialog.getByRole('button', { name: 'Change it', disabled: true }).waitFor();
    await watches.start([WATCHED.id], { everyMs: 3_600_000 });
    await dialog.getByLabel(/^Hold a round when more/).fill('100');
    await dialog.getByText(`triggers watch ${WATCHED.slug} --largest-exit 100`, { exact: true }).waitFor();
    await dialog.getByLabel(/Publish all members as enters/).check();
    await dialog
      .getByText(`triggers watch ${WATCHED.slug} --largest-exit 100 --existing-users`, { exact: true })
      .waitFor();
    await dialog.getByRole('button', { name: 'Change it' }).click();
    await dialog.getByRole('button', { name: 'Close' }).click();
    // What somebody else has changed meanwhile stays.
    expect(await watches.status(WATCHED.id)).toMatchObject({
      everyMs: 3_600_000,
      largestExitPercent: 100,
      existingUsers: true,
    });

    await action('Stop').click();
    await dialog.getByText(`triggers watch ${WATCHED.slug} --stop`, { exact: true }).waitFor();
    await dialog.getByRole('button', { name: 'Stop', exact: true }).click();
    await action('Stop').waitFor({ state: 'detached' });
    for (const user of MEMBERS.slice(0, 20)) lab.source.enter(WATCHED.id, user);
  });

  test('says when somebody else has changed what an edit would change, and leaves everything else as it is', async () => {
    const job = await started('Of two people', lab.receiver, {
      events: ['exit', 'enter'],
      method: 'POST',
      exportFields: ['save as draft'],
      headers: { 'x-list': ' 7 ' },
    });
    const before = await lab.jobs.definition(job);
    const { page } = await browser.open(`${api.url}/jobs/${job}/edit`);
    await page.getByLabel(/Parallel Request Count/).fill('7');
    await lab.jobs.edit(job, { parallelRequestCount: 9, memberships: true });
    await page.getByRole('button', { name: 'Save 1 change' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Somebody else has changed Parallel request count').waitFor();
    await dialog.getByRole('cell', { name: '9', exact: true }).waitFor();
    await dialog.getByRole('button', { name: 'Save anyway' }).click();
    await until(async () => (await lab.jobs.status(job)).parallelRequestCount === 7);
    expect(await lab.jobs.definition(job)).toEqual({ ...before, parallelRequestCount: 7, memberships: true });
  });

  test('keeps what was typed when the session ends, for a person who signs in again with the same key', async () => {
    const { secret: key, hash } = newApiKey();
    const keyed = await openApi({ typist: { hash, may: ['read', 'operate'] } });
    const { page, context } = await browser.open(`${keyed.url}/new`);
    await signIn(page, key);
    await page.getByLabel('Label', { exact: true }).waitFor();
    await context.clearCookies();
    // The form is checked while it is typed: the page needs no click to learn that the session has ended.
    await page.getByLabel('Label', { exact: true }).fill('Typed with care');
    await page.getByText('Your session has ended').waitFor();
    await page.keyboard.press('Escape');
    await looked(page, 'session-ended');
    await signIn(page, key);
    await page.getByText('Your session has ended').waitFor({ state: 'detached' });
    expect(await page.getByLabel('Label', { exact: true }).inputValue()).toBe('Typed with care');
    await page.getByRole('button', { name: 'Start Export' }).click();
    await page.getByText('Choose at least one audience.').waitFor();
    await page.context().close();
    await keyed.close();
  });

  test('finds a job that is not among the first 500', async () => {
    const job = await started('Far behind', lab.receiver);
    const { page } = await browser.open(api.url);
    const first = { jobId: 'first', workflowId: 'export-job:first', state: 'running', running: true, label: 'First' };
    await page.route('**/v1/jobs?limit=500', async (route) => {
      await route.fulfill({ json: { jobs: [first], states: { running: 700, paused: 20 }, next: 'first' } });
    });
    await page.goto(api.url);
    await page.getByText('More jobs exist: these are the first 500.').waitFor();
    await page.getByRole('button', { name: 'all 720' }).waitFor();
    await page.getByLabel('Search jobs').fill('behind far');
    await page.getByRole('link', { name: 'Far behind' }).waitFor();
    await page.getByRole('link', { name: 'First' }).waitFor({ state: 'detached' });
    await lab.jobs.pause(job);
    await page.getByRole('button', { name: 'paused' }).click();
    await page.getByRole('link', { name: 'Far behind' }).waitFor();
    await page.getByLabel('Search jobs').fill('nothing is called that');
    await page.getByText('No matching jobs.').waitFor();
  });

  test('shows a person who may only read no button that changes something', async () => {
    const { secret: key, hash } = newApiKey();
    const reading = await openApi({ looker: { hash, may: ['read'] } });
    const job = await started('Looked at', lab.receiver);
    const { page } = await browser.open(reading.url);
    await signIn(page, 'trg_wrong');
    await page.getByText('not known here').waitFor();
    await looked(page, 'sign-in');
    await signIn(page, key);
    await (await findJob(page, 'Looked at')).click();
    await page.getByRole('heading', { name: 'Recent attempts' }).waitFor();
    const buttons = ['Pause', 'Backfill', 'Reconcile', 'Stop', 'Edit'];
    for (const name of buttons) expect(await page.getByRole('button', { name }).count()).toBe(0);
    expect(await page.getByRole('link', { name: 'Edit' }).count()).toBe(0);
    await page.getByRole('link', { name: 'Inputs' }).click();
    await page.getByText('No watched audiences').or(page.getByRole('cell').first()).first().waitFor();
    expect(await page.getByRole('button', { name: WATCH_ACTIONS }).count()).toBe(0);
    // Nor does the API do it for them.
    const paused = await page.evaluate<number>(
      `fetch('/v1/jobs/${job}/pause', { method: 'POST', headers: { 'x-triggers-console': '1' } }).then(({ status }) => status)`,
    );
    expect(paused).toBe(403);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('API key').waitFor();
    expect(await statusOf(page, '/v1/jobs')).toBe(401);
    await page.context().close();
    await reading.close();
  });

  test('shows what is hostile as text, wherever it comes from', async () => {
    const script = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";
    const hostile = `${script}\u202Egnp.exe\u0000`;
    const endpoint = await startRecorder({
      answer: () => ({ status: 400, body: `${hostile}${'x'.repeat(1_000_000)}` }),
    });
    const job = await started(hostile.replace('\u0000', ''), endpoint, {
      description: script,
      answers: { '400': 'dead-letter' },
    });
    const user = `${script}\u202Euser`.slice(0, 200);
    await lab.jobs.push(job, [
      { audience: VIPS.slug, user, event: 'enter', profile: { [script]: `${hostile}${'y'.repeat(50_000)}` } },
    ]);
    await until(async () => (await lab.jobs.status(job)).deadLettersWaiting === 1);
    const { page } = await browser.open(api.url);
    for (const path of [
      `/?text=${encodeURIComponent('<img src=x')}`,
      `/jobs/${job}`,
      `/people?user=${encodeURIComponent(user)}`,
      `/dead-letters?job=${job}`,
      `/jobs/${job}/edit`,
    ]) {
      await page.goto(api.url + path);
      await page.getByText('<img src=x').first().waitFor();
      expect(await page.evaluate<string>('document.title')).not.toBe('taken');
      expect(await page.evaluate<number>("document.querySelectorAll('img, main script').length")).toBe(0);
      // Nothing turns the text around it.
      expect([path, await page.evaluate<boolean>(TURNS)]).toEqual([path, false]);
    }
    await page.goto(`${api.url}/dead-letters?job=${job}`);
    await page.getByRole('button', { name: /Show the dead letter/ }).click();
    await page.getByText('The profile that was signalled').waitFor();
    await looked(page, 'hostile');
    await endpoint.close();
  });

  test('is used with the keyboard alone, from a new job to its end', async () => {
    const { page } = await browser.open(api.url);
    await tabTo(page, /^(?:New job|Create a job)$/);
    await page.keyboard.press('Enter');
    await page.getByLabel('Webhook URL').waitFor();
    await tabTo(page, /^Webhook endpoint does not require authorization/);
    await page.keyboard.press('Space');
    await tabTo(page, /^Label/);
    await page.keyboard.type('By hand');
    await tabTo(page, new RegExp(`^${NEWS.name}`));
    await page.keyboard.press('Space');
    await tabTo(page, /^Webhook URL/);
    await page.keyboard.type(lab.receiver.url);
    await tabTo(page, /^Start Export$/);
    await page.keyboard.press('Enter');
    await pressable(page, 'Start Export');
    await tabTo(page, /^Start Export$/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'By hand' }).waitFor();
    await page.getByText('running', { exact: true }).first().waitFor();
    // The dialogue begins at its action, and where that takes away the button that began it, the focus is on what took its place.
    for (const [action, next] of [
      ['Pause', 'Resume'],
      ['Resume', 'Pause'],
    ] as const) {
      if (action === 'Pause') await tabTo(page, /^Pause$/);
      await page.keyboard.press('Enter');
      await pressable(page, action);
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: next, exact: true }).waitFor();
      await until(async () => (await page.evaluate(FOCUSED)) === next);
    }
    await tabTo(page, /^Backfill$/);
    await page.keyboard.press('Enter');
    await page.getByLabel(/^Number of people/).fill('1e3');
    await page.getByText('Enter a whole number from 1.').waitFor();
    await page.keyboard.press('Escape');
    await tabTo(page, /^Stop$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    // The focus is back where it was.
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    // Closed and opened again before the browser's next task: sooner than any hand.
    await page.evaluate(CANCELLED_AND_PRESSED_AGAIN);
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /^Send them first/);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    // What cannot be undone is not done from among the choices.
    let stops = 0;
    page.on('request', (request) => (stops += request.url().endsWith('/stop') ? 1 : 0));
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('ArrowUp');
    await tabTo(page, /^Stop$/);
    await pressable(page, 'Stop');
    await page.keyboard.press('Enter');
    await page
      .getByText(/^Stopped/)
      .first()
      .waitFor();
    const job = new URL(page.url()).pathname.replace('/jobs/', '');
    expect((await lab.jobs.status(job)).state).toBe('stopped');
    expect(stops).toBe(1);
  });

  test('two tabs show the same, and end together', async () => {
    const { secret: key, hash } = newApiKey();
    const job = await started('In two tabs', lab.receiver);
    const keyed = await openApi({ twice: { hash, may: ['read', 'operate'], jobs: [job] } });
    const { page, context } = await browser.open(`${keyed.url}/jobs/${job}`);
    await signIn(page, key);
    const other = await context.newPage();
    await other.goto(`${keyed.url}/jobs/${job}`);
    await other.getByRole('button', { name: 'Pause' }).click();
    await other.getByRole('dialog').getByRole('button', { name: 'Pause', exact: true }).click();
    await page.bringToFront();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    // It may start none but its own jobs, and is offered no other.
    await other.goto(`${keyed.url}/new`);
    const offered = other.getByLabel('Id').locator('option');
    await offered.first().waitFor({ state: 'attached' });
    expect(await offered.allTextContents()).toEqual([job]);
    expect(await other.getByRole('heading', { name: 'The message' }).count()).toBe(0);
    // A watch tells every job that listens, so that a key for some jobs may not begin one.
    await other.getByRole('link', { name: 'Inputs' }).click();
    await other.getByText('No watched audiences').or(other.getByRole('cell').first()).first().waitFor();
    expect(await other.getByRole('button', { name: WATCH_ACTIONS }).count()).toBe(0);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await other.bringToFront();
    await other.getByText('Your session has ended').waitFor();
    await page.context().close();
    await keyed.close();
  });

  test('made no mistake in any of this', () => {
    expect(browser.mistakes).toEqual([]);
  });
});

/** From now on, what is asked for about dead letters and changes something, also if only a count is asked for first. */
function watchDecisions(page: Page): string[] {
  const asked: string[] = [];
  page.on('request', (request) => {
    if (request.method() === 'POST') asked.push(request.url().replace(/.*\//, ''));
  });
  return asked;
}

/** Presses Tab until what is called so has the focus. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  const passed: string[] = [];
  while (passed.length < 150) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate<string>(FOCUSED);
    if (name.test(focused)) return;
    passed.push(focused);
  }
  throw new Error(`Tab never comes to ${String(name)}, but to: ${passed.join(' | ')}`);
}

const FOCUSED = `(() => {
  const one = document.activeElement;
  return (one.labels?.[0]?.textContent ?? one.getAttribute('aria-label') ?? one.textContent).trim();
})()`;

const CANCELLED_AND_PRESSED_AGAIN = `(async () => {
  document.querySelector('dialog .buttons button').click();
  for (let turn = 0; turn < 10; turn++) await undefined;
  document.activeElement.click();
})()`;

/** Whether the page has a mark that turns the text behind it. */
const TURNS = "document.querySelector('main').textContent.includes('\\u202E')";

async function statusOf(page: Page, path: string): Promise<number> {
  return await page.evaluate<number>(`fetch('${path}').then(({ status }) => status)`);
}
