import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { Api } from '../../src/app/api.ts';
import { newApiKey } from '../../src/config/references.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { apiOf } from '../api/an-api.ts';
import { describeWithBrowser, looked, NARROW, pressable, signIn, TestBrowser } from '../support/browser.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';

const id = (): string => randomBytes(16).toString('hex');
const SLUG = `calm-${id().slice(0, 6)}`;
const OTHER = { id: id(), slug: `${SLUG}-last`, name: 'The last of many', windowMinutes: 15 };
const MANY = Array.from({ length: 1000 }, (_, i) => ({
  id: id(),
  slug: i === 0 ? SLUG : `${SLUG}-${i}`,
  name: `Audience number ${i}`,
  members: [],
}));

let lab: Lab;
let api: Api;
let browser: TestBrowser;

async function started(label: string, more: object = {}): Promise<string> {
  const webhookUrl = lab.receiver.url;
  const { jobId } = await lab.jobs.start({ label, audiences: [SLUG], webhookUrl, authorization: null, ...more });
  return jobId;
}

const trigger = async (job: string, user: string): Promise<void> => {
  await lab.jobs.push(job, [{ audience: SLUG, user, event: 'enter', profile: {} }]);
};

const FOCUSED = 'document.activeElement.textContent';

/** From now on no question of the page is answered, until the returned function is called. */
async function cutOff(page: Page): Promise<() => Promise<void>> {
  await page.route('**/v1/**', async (route) => await route.abort());
  return async () => await page.unroute('**/v1/**');
}

/** In what colour the page of a job says its state. */
async function colour(page: Page): Promise<string> {
  return await page.evaluate<string>("getComputedStyle(document.querySelector('h1 .state')).color");
}

async function filled(page: Page, label: string): Promise<void> {
  await page.getByLabel('Webhook endpoint does not require authorization').check();
  await page.getByLabel('Label', { exact: true }).fill(label);
  await page.getByLabel('Webhook URL').fill(lab.receiver.url);
  await page.getByLabel('Search audiences').fill('number 0');
  await page.getByLabel('Audience number 0', { exact: false }).first().check();
}

describeWithBrowser('the console, when something is not as it should be', () => {
  beforeAll(async () => {
    lab = await Lab.open({ content: { audiences: [...MANY, { ...OTHER, members: ['somebody'] }] } });
    browser = await TestBrowser.start();
    api = await apiOf(lab);
  });
  afterAll(async () => {
    await api.close();
    await browser.close();
    await lab.close();
  });

  test('says of when it is what it shows while the API does not answer, and goes on by itself', async () => {
    const job = await started('Cut off');
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    await page.getByText('nothing is waiting').waitFor();
    const connect = await cutOff(page);
    await page.getByText('The API does not answer.').waitFor();
    await page.getByText(/This page shows the state at \d/).waitFor();
    // One notice is enough, and what was there stays.
    expect(await page.getByText('The API does not answer.').count()).toBe(1);
    await page.getByText('nothing is waiting').waitFor();
    await looked(page, 'cut-off');
    await trigger(job, 'meanwhile');
    await connect();
    await page.getByText('The API does not answer.').waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'meanwhile' }).waitFor();
  });

  test('a job whose endpoint fails is not shown in green, and “Retry now” says what it does', async () => {
    const job = await started('Failing meanwhile');
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    await page.getByText('nothing is waiting').waitFor();
    const green = await colour(page);
    // Those that the last probe was about are in flight, so that nobody waits for a next attempt.
    const failing = { endpoint: { state: 'unhealthy' }, waiting: 300, delayed: 0 };
    await page.route(`**/v1/jobs/${job}`, async (route) => {
      const status = (await (await route.fetch()).json()) as object;
      await route.fulfill({ json: { ...status, ...failing } });
    });
    await page.getByText('endpoint unhealthy', { exact: true }).waitFor();
    expect(await colour(page)).not.toBe(green);
    await page.getByRole('button', { name: 'Retry now' }).click();
    await page.getByText('the other 299 follow').waitFor();
    await looked(page, 'unhealthy');
    await page.getByRole('button', { name: 'Cancel' }).click();
    // It goes on sending while somebody decides.
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByLabel(/^Discard them/).check();
    await page.getByText('About 300 triggers are waiting').waitFor();
    await page.getByRole('button', { name: 'Discard about 300 and stop' }).waitFor();
    // A poll of the page may be on its way.
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });

  test('the console restores a draft after a reload, without secrets, and asks before somebody leaves it', async () => {
    const { page } = await browser.open(`${api.url}/new`);
    await filled(page, 'Half filled in');
    await page.reload();
    await page.getByText('Your draft was restored').waitFor();
    const label = page.getByLabel('Label', { exact: true });
    expect([await label.inputValue(), await page.getByLabel('Webhook URL').inputValue()]).toEqual([
      'Half filled in',
      '',
    ]);
    expect(await page.evaluate<string>('JSON.stringify(sessionStorage)')).not.toContain('http');
    await looked(page, 'restored');
    const asked: string[] = [];
    page.on('dialog', async (dialog) => {
      asked.push(dialog.type());
      await dialog.dismiss();
    });
    await page.getByRole('link', { name: 'Inputs' }).click();
    expect([asked, page.url()]).toEqual([['confirm'], `${api.url}/new`]);
    await page.getByRole('button', { name: 'Start over' }).click();
    await until(async () => (await label.inputValue()) === '');
    await page.getByRole('link', { name: 'Inputs' }).click();
    await page.getByRole('heading', { name: 'Inputs' }).waitFor();
    await page.goto(`${api.url}/new`);
    expect(await label.inputValue()).toBe('');
  });

  test('the console says that an unanswered request may have been done, and keeps its dialogue open while it waits', async () => {
    const job = await started('Perhaps paused');
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    await page.getByRole('button', { name: 'Pause' }).click();
    const dialog = page.getByRole('dialog');
    await cutOff(page);
    await dialog.getByRole('button', { name: 'Pause', exact: true }).click();
    await dialog.getByText('It may or may not have been done').waitFor();
    await page.unroute('**/v1/**');
    await page.route('**/v1/jobs/*/pause', () => undefined);
    await dialog.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.keyboard.press('Escape');
    await dialog.getByRole('button', { name: 'Cancel', disabled: true }).waitFor();
  });

  test('leaves the focus where it was when an action fails, and puts nobody on what cannot be undone', async () => {
    const job = await started('Keeps the focus');
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    await page.getByRole('button', { name: 'Reconcile' }).click();
    const list = { name: 'theirs.csv', mimeType: 'text/csv', buffer: Buffer.from('user\n1\n') };
    await page.getByLabel('The list', { exact: true }).setInputFiles(list);
    let answer: { readonly status: number; readonly json: object };
    await page.route('**/v1/jobs/*/reconcile*', async (route) => {
      // The browser has seen that the button cannot be pressed now, and has taken the focus from it.
      await until(async () => await page.evaluate('document.activeElement === document.body'));
      await route.fulfill({ ...answer, contentType: 'application/json' });
    });
    const failed = (code: string) => ({ status: 422, json: { status: 422, code, detail: 'It was not done.' } });
    answer = failed('InvalidList');
    await pressable(page, 'Compare');
    await page.getByRole('button', { name: 'Compare' }).press('Enter');
    await page.getByText('It was not done.').waitFor();
    await until(async () => (await page.evaluate(FOCUSED)) === 'Compare');
    await pressable(page, 'Compare');
    const difference = { theirs: 1, members: 0, both: 0, enters: 0, exits: 1 };
    answer = { status: 200, json: { difference } };
    await page.keyboard.press('Enter');
    await page.getByText('Exits to send').waitFor();
    await until(async () => (await page.evaluate(FOCUSED)) === 'Send 0 enters and 1 exit');
    answer = failed('DifferenceDoubtful');
    await pressable(page, 'Send 0 enters and 1 exit');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Send anyway' }).waitFor();
    await until(async () => (await page.evaluate(FOCUSED)) === 'Cancel');
  });

  test('starts nothing that could not be checked, and says why', async () => {
    const { page } = await browser.open(`${api.url}/new`);
    await filled(page, 'Not checked');
    const connect = await cutOff(page);
    await page.getByRole('button', { name: 'Start Export' }).click();
    await page.getByText('The check failed, so nothing was started').waitFor();
    expect(await page.getByRole('dialog').count()).toBe(0);
    await connect();
    await page.getByRole('button', { name: 'Start Export' }).click();
    await page.getByRole('dialog').getByText('Existing members are not sent.').waitFor();
    expect(await page.getByText('The check failed').count()).toBe(0);
    await page.keyboard.press('Escape');
    // What is wrong where nobody sees it is unfolded, and has the focus.
    await page.getByText('More', { exact: true }).click();
    await page.getByLabel('Retries for').fill('3 weeks');
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: 'Start Export' }).click();
    await until(async () => (await page.evaluate('document.activeElement.id')) === 'field-retryFor');
    await page.locator('#retryFor-problem').waitFor();
  });

  test('a page that cannot be shown leaves a calm message, and every other page', async () => {
    const job = await started('Misunderstood');
    const { page } = await browser.open(`${api.url}/?text=misunderstood`);
    await page.route(`**/v1/jobs/${job}`, async (route) => await route.fulfill({ json: {} }));
    await page.getByRole('link', { name: 'Misunderstood' }).click();
    await page.getByText('This page cannot be shown').waitFor();
    await looked(page, 'thrown');
    await page.unroute(`**/v1/jobs/${job}`);
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('heading', { name: 'Misunderstood' }).waitFor();
    await page.route(`**/v1/jobs/${job}`, async (route) => await route.fulfill({ json: {} }));
    await page.getByText('This page cannot be shown').waitFor();
    await page.getByRole('link', { name: 'Find a person' }).click();
    await page.getByText('What was sent about a person').waitFor();
  });

  test('no page is wider than its window, whatever a job is called and however many audiences it has', async () => {
    const label = 'Unbroken'.repeat(25);
    const job = await started(label, { audiences: MANY.slice(0, 100).map(({ slug }) => slug), description: label });
    const { page, context } = await browser.open(api.url, { viewport: NARROW });
    for (const path of ['/?text=unbroken', `/jobs/${job}`, `/jobs/${job}/edit`]) {
      await page.goto(api.url + path);
      await page.getByText(label).first().waitFor();
      expect([path, await page.evaluate<number>('document.documentElement.scrollWidth')]).toEqual([path, NARROW.width]);
    }
    await page.goto(`${api.url}/jobs/${job}`);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('dialog').waitFor();
    expect(await page.evaluate<boolean>(FITS)).toBe(true);
    await looked(page, 'unbroken-narrow');
    await context.close();
    await lab.jobs.stop(job);
  });

  test('the console says when somebody else has already decided a dead letter', async () => {
    const endpoint = await startRecorder({ answer: () => ({ status: 422 }) });
    const job = await started('Decided twice', { webhookUrl: endpoint.url, answers: { '422': 'dead-letter' } });
    await trigger(job, 'disputed');
    await until(async () => (await lab.jobs.status(job)).deadLettersWaiting === 1);
    const { page } = await browser.open(`${api.url}/dead-letters?job=${job}`);
    await page.getByRole('button', { name: 'Show the dead letter of disputed' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Redeliver', exact: true }).waitFor();
    for await (const { id: letter } of lab.jobs.deadLetters.list({ jobId: job }))
      await lab.jobs.deadLetters.discard(letter);
    await dialog.getByRole('button', { name: 'Redeliver', exact: true }).click();
    // It says what to do on the page, and not over HTTP.
    await dialog.getByRole('alert').getByText('the page “Dead letters”').waitFor();
    await looked(page, 'decided-elsewhere');
    expect(endpoint.ledger.entries).toHaveLength(1);
    await endpoint.close();
  });

  test('a decision about many goes on when its tab is closed, and another tab shows how it ended', async () => {
    const endpoint = await startRecorder({ answer: () => ({ status: 422 }) });
    const job = await started('Left alone', { webhookUrl: endpoint.url, answers: { '422': 'dead-letter' } });
    for (let i = 0; i < 40; i++) await trigger(job, `left-${i}`);
    await until(async () => (await lab.jobs.status(job)).deadLettersWaiting === 40);
    const { page, context } = await browser.open(`${api.url}/dead-letters?job=${job}`);
    await page.getByRole('button', { name: 'Discard these' }).click();
    await page.getByRole('button', { name: 'Count them' }).click();
    await pressable(page, 'Discard 40');
    const asked = page.waitForRequest('**/v1/dead-letters/discard?background=1');
    await page.getByRole('button', { name: 'Discard 40' }).click();
    await asked;
    await context.close();
    const later = await browser.open(`${api.url}/dead-letters?job=${job}`);
    await later.page.getByText(`40 dead letters of ${job} were discarded.`).waitFor();
    await later.page.getByText('No matching dead letters').waitFor();
    await later.context.close();
    await endpoint.close();
  });

  test('a stop says which dead letters it gives up and offers to keep them; after it, the job can be started again', async () => {
    const endpoint = await startRecorder({ answer: () => ({ status: 422 }) });
    const job = await started('Given up', { webhookUrl: endpoint.url, answers: { '422': 'dead-letter' } });
    for (const user of ['first', 'second']) await trigger(job, user);
    await until(async () => (await lab.jobs.status(job)).deadLettersWaiting === 2);
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    const dialog = page.getByRole('dialog');
    await page.getByRole('link', { name: '2', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await dialog.getByText('2 dead letters wait for a decision').waitFor();
    expect(await dialog.getByLabel(/^Keep them/).isChecked()).toBe(true);
    await looked(page, 'stop-dead-letters');
    await dialog.getByLabel(/^Send them first/).check();
    await pressable(page, 'Stop, and give up 2 dead letters');
    await dialog.getByRole('button', { name: 'Stop, and give up 2 dead letters' }).click();
    await page.getByRole('link', { name: 'Start again' }).waitFor();
    await looked(page, 'stopped');

    // What nobody can send is not offered.
    await page.goto(`${api.url}/dead-letters?job=${job}`);
    await page.getByRole('button', { name: 'Redeliver these' }).click();
    await page.getByRole('button', { name: 'Count them' }).click();
    await dialog.getByText('None of them can be sent').waitFor();
    await dialog.getByRole('button', { name: 'Redeliver 0', disabled: true }).waitFor();
    await looked(page, 'never-sent');
    await dialog.getByRole('link', { name: job }).click();
    await page.getByRole('link', { name: 'Start again' }).click();
    const label = page.getByLabel('Label', { exact: true });
    expect([await label.inputValue(), await page.getByLabel('Webhook URL').inputValue()]).toEqual([
      'Given up',
      endpoint.url,
    ]);
    await page.getByRole('button', { name: 'Start Export' }).click();
    // It says where it sends.
    await dialog.getByText(endpoint.url).waitFor();
    await looked(page, 'start-again');
    await pressable(page, 'Start Export');
    await dialog.getByRole('button', { name: 'Start Export' }).click();
    await page.getByRole('heading', { name: 'Given up' }).waitFor();
    await until(async () => (await lab.jobs.status(job)).state === 'running');
    await endpoint.close();
  });

  test('a pause asks for its reason first, and says within seconds that there is no answer', async () => {
    const job = await started('Asked why');
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await page.keyboard.type('their database moves');
    await pressable(page, 'Pause');
    await page.keyboard.press('Enter');
    await page.getByRole('cell', { name: 'their database moves' }).waitFor();
    // As when Temporal hangs.
    await page.route('**/v1/**', () => undefined);
    await page.getByRole('button', { name: 'Resume' }).click();
    await pressable(page, 'Resume');
    await page.keyboard.press('Enter');
    await page.getByText('Still waiting for an answer').waitFor();
    await page.getByText(/^No answer since /).waitFor();
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });

  test('nothing is wrong with the whole form, its problems and its headings included', async () => {
    const { page } = await browser.open(`${api.url}/new`);
    await page.getByText('More', { exact: true }).click();
    await page.getByRole('button', { name: 'Start Export' }).click();
    await page.getByText('It cannot be started yet').waitFor();
    await looked(page, 'more');
  });

  test('all is not well while dead letters wait, and remedies name places of the page', async () => {
    const { page } = await browser.open(api.url, { viewport: { width: 780, height: 900 } });
    const remedy = 'Nothing is lost. See why: triggers status crm';
    const finding = { check: 'endpoints', state: 'ok', job: 'crm', facts: {}, remedy };
    await page.route('**/v1/health', (route) => route.fulfill({ json: { state: 'ok', findings: [finding] } }));
    const failures = [{ failure: 'HTTP 422', letters: 64, jobs: [], oldestDiedAt: '', newestDiedAt: '' }];
    await page.route('**/v1/dead-letters/failures', (route) => route.fulfill({ json: { isPartial: false, failures } }));
    const health = page.getByRole('link', { name: 'Health' });
    const { x = 0, width = 780 } = (await health.boundingBox()) ?? {};
    expect(x + width).toBeLessThanOrEqual(780);
    await health.click();
    await page.getByRole('link', { name: '64 dead letters wait for a decision' }).waitFor();
    expect(await page.getByText('All is well').or(page.getByText('triggers status')).count()).toBe(0);
    await page.getByRole('link', { name: 'the page of the job' }).waitFor();
    await looked(page, 'health-letters');
  });

  test('finds an audience among a thousand, and what was chosen stays in sight', async () => {
    const { page } = await browser.open(api.url, { viewport: NARROW });
    // Some sources do not say how many members there are, and list a part when there are too many.
    await page.route('**/v1/audiences', async (route) => {
      const { audiences } = (await (await route.fetch()).json()) as { audiences: object[] };
      await route.fulfill({ json: { audiences: audiences.map((one) => ({ ...one, size: undefined })), total: 5000 } });
    });
    await page.goto(`${api.url}/new`);
    await page.getByPlaceholder('Search 1,001 audiences').fill('last MANY');
    await page.getByLabel(OTHER.name).check();
    await page.getByText('First send everybody who is already part of the audience').waitFor();
    // One run of some 500 missed what was typed here, and nobody saw why.
    await until(async () => {
      await page.getByLabel('Search audiences').fill('number 77');
      return await page.getByLabel('Audience number 777').isVisible();
    });
    await page.getByLabel('Audience number 777').check();
    const chosen = page.locator('.chosen');
    await chosen.getByText(OTHER.name).waitFor();
    await looked(page, 'chosen-narrow');
    await chosen.getByRole('button', { name: `Without ${OTHER.slug}` }).click();
    await chosen.getByText(OTHER.name).waitFor({ state: 'detached' });
    expect(await chosen.locator('.tag').count()).toBe(1);
    await page.getByText('These are 1,001 of 5,000.').waitFor();
    await page.getByLabel('Search audiences').fill('not-listed');
    await page.getByRole('button', { name: 'Use “not-listed” as it is typed' }).click();
    await chosen.getByText('not-listed').waitFor();
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });

  test('follows a key that may do less, or is for other jobs, while somebody is signed in with it', async () => {
    const { secret: key, hash } = newApiKey();
    const keyed = await apiOf(lab, { keys: { shrinking: { hash, may: ['read', 'operate'] } } });
    const job = await started('Seen by fewer');
    const { page } = await browser.open(`${keyed.url}/jobs/${job}`);
    await signIn(page, key);
    await page.getByRole('button', { name: 'Pause' }).click();
    keyed.replaceKeys({ shrinking: { hash, may: ['read'] } });
    await page.getByRole('dialog').getByRole('button', { name: 'Pause', exact: true }).click();
    // The buttons go, and the dialogue with them.
    await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' });
    await page.getByText('nothing is waiting').waitFor();
    expect((await lab.jobs.status(job)).state).toBe('running');
    keyed.replaceKeys({ shrinking: { hash, may: ['read'], jobs: ['another'] } });
    await page.getByText('has no access to the job').waitFor();
    expect(await page.getByText('nothing is waiting').count()).toBe(0);
    await page.context().close();
    await keyed.close();
  });

  test.each(['..', 'a/b?c#d'])('finds the person whose id is %s', async (user) => {
    const job = await started(`Told of ${id().slice(0, 6)}`);
    await trigger(job, user);
    const { page, context } = await browser.open(`${api.url}/people`);
    await page.getByLabel('Person id').fill(user);
    await page.getByLabel(/Job id/).fill(job);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText('Signalled: enter').waitFor();
    await context.close();
    await lab.jobs.stop(job);
  });
});

/** Whether all of a dialogue fits into its width. */
const FITS = "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('dialog'))";
