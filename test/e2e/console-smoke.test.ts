import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Api } from '../../src/app/api.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { apiOf } from '../api/an-api.ts';
import { describeWithBrowser, looked, NARROW, TestBrowser, WIDE } from '../support/browser.ts';
import { Lab } from '../support/lab.ts';

// Enough of the console to know that it works; console.test.ts and console-mishaps.test.ts have the rest.

const VIPS = {
  id: randomBytes(16).toString('hex'),
  slug: `vips-${randomBytes(3).toString('hex')}`,
  name: 'Very important people',
};
const MEMBERS = Array.from({ length: 230 }, (_, i) => `member-${i}`);

describeWithBrowser('the console, in short', () => {
  let lab: Lab;
  let api: Api;
  let browser: TestBrowser;

  const openApi = async (keys: ConfiguredApiKeys = {}) =>
    await apiOf(lab, { keys }, (fields) => browser.mistakes.push(JSON.stringify(fields)));

  beforeAll(async () => {
    const profiles = Object.fromEntries(MEMBERS.map((user) => [user, { email: `${user}@example.com`, name: user }]));
    lab = await Lab.open({ content: { audiences: [{ ...VIPS, size: MEMBERS.length, members: MEMBERS }], profiles } });
    browser = await TestBrowser.start();
    api = await openApi();
  });
  afterAll(async () => {
    await api.close();
    await browser.close();
    await lab.close();
  });

  test.each([
    ['wide', WIDE],
    ['narrow', NARROW],
  ])('starts a job by the form, with existing users, and shows them arrive (%s)', async (width, viewport) => {
    const { page } = await browser.open(api.url, { viewport });
    await page
      .getByRole('link', { name: 'New job' })
      .or(page.getByRole('link', { name: 'Create a job' }))
      .first()
      .click();
    await page.getByLabel('Webhook endpoint does not require authorization').check();
    await page.getByLabel('Label', { exact: true }).fill(`Console ${width}`);
    await page.getByRole('button', { name: 'Start Export' }).click();
    // What is missing stands at its field.
    await page.getByText('Choose at least one audience.').waitFor();
    await page.getByLabel(VIPS.name).check();
    await page.getByLabel('Webhook URL').fill(`${lab.receiver.url}${width}`);
    await page.getByLabel('email', { exact: true }).check();
    await page.getByLabel(/First send the 230 users/).check();
    await page.getByLabel('The request').getByText('"email": "member-').waitFor();
    await looked(page, `new-job-${width}`);
    await page.getByRole('button', { name: 'Start Export' }).click();
    await page.getByText(/is sent for each of/).waitFor();
    await page.getByRole('button', { name: 'Send 230 users, and start' }).click();
    await page.getByText('230 of 230').waitFor();
    await page.getByRole('heading', { name: 'Recent attempts' }).waitFor();
    await page.getByRole('link', { name: 'member-' }).first().waitFor();
    await looked(page, `job-${width}`);
    const jobId = new URL(page.url()).pathname.replace('/jobs/', '');
    expect((await lab.jobs.status(jobId)).exportFields).toEqual(['email']);
    await page.getByRole('link', { name: 'Jobs', exact: true }).first().click();
    await page.getByRole('button', { name: /^all \d/ }).waitFor();
    await looked(page, `jobs-${width}`);
    await page.getByLabel('Search jobs').fill(`Console ${width}`);
    await page.getByRole('link', { name: `Console ${width}` }).waitFor();
    await page.getByRole('img', { name: '230 delivered, 0 failed' }).waitFor();
  });

  test('a link from the terminal signs in once, and leaves the address at once', async () => {
    const invited = await openApi({ others: { hash: `sha256:${'0'.repeat(64)}`, may: ['read'] } });
    const link = invited.invite();
    const { page } = await browser.open(link);
    await page.getByRole('link', { name: 'New job' }).waitFor();
    expect(page.url()).toBe(`${invited.url}/`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('API key').waitFor();
    // Pasted into a tab that has the console open, it is no other page, and signs in all the same; once.
    const pasted = async (url: string): Promise<void> => await page.evaluate(`location.href = ${JSON.stringify(url)}`);
    await pasted(link);
    await page.getByText('This link has been used').waitFor();
    await pasted(invited.invite());
    await page.getByText('signed in by link').waitFor();
    expect(page.url()).toBe(`${invited.url}/`);
    await page.context().close();
    await invited.close();
  });

  test('made no mistake in any of this', () => {
    expect(browser.mistakes).toEqual([]);
  });
});
