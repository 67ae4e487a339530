import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { Api } from '../../src/app/api.ts';
import { deliveryLogIn } from '../../src/features/delivery-log/config.ts';
import { newApiKey } from '../../src/config/references.ts';
import type { DeliveryReader } from '../../src/features/delivery-log/delivery-reader.ts';
import { storedDeed } from '../../src/features/delivery-log/deeds.ts';
import { openDeliveryReader, openDeliveryStore } from '../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../src/temporal/sealed-text.ts';
import { apiOf } from '../api/an-api.ts';
import { aDelivery } from '../features/delivery-log/a-delivery.ts';
import { describeWithBrowser, looked, NARROW, signIn, TestBrowser } from '../support/browser.ts';
import { Lab } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';

const SCRIPT = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>\u202Egnp.exe";
const DAY_S = 86_400;
const LIST = { id: randomBytes(16).toString('hex'), slug: `list-${randomBytes(3).toString('hex')}`, name: 'A list' };
const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
const MADE_UP = Array.from({ length: 120 }, (_, n) =>
  aDelivery({
    at: minutesAgo(n + 1),
    jobId: 'made-up',
    deliveryId: `aa${n}`,
    user: `p${n}`,
  }),
);

const MADE_UP_DEEDS = Array.from({ length: 120 }, (_, n) => {
  const at = minutesAgo(n + 1);
  const of = { kind: 'job', target: 'made-up', jobId: 'made-up' } as const;
  return storedDeed(`deed-${n}`, { ...of, at, action: 'pause', who: `w${n}`, door: 'cli' }, undefined);
});

describeWithBrowser('the deliveries in the console', () => {
  let lab: Lab;
  let deliveries: DeliveryReader;
  let api: Api;
  let browser: TestBrowser;
  let job: string;
  const folder = tempFolder();

  const openApi = async (more: object = {}): Promise<Api> =>
    await apiOf(lab, { deliveries, ...more }, (fields) => browser.mistakes.push(JSON.stringify(fields)));
  const push = async (user: string): Promise<void> =>
    await lab.jobs.enter(job, { audience: LIST.slug, user, profile: { email: `${user}@example.com` } });
  const written = async (user: string, count = 1): Promise<void> =>
    await until(async () => (await deliveries.find({ jobId: job, user }, 10)).rows.length >= count);

  beforeAll(async () => {
    const config = { deliveryLog: deliveryLogIn(folder) };
    let flaky = 0;
    lab = await Lab.open({
      content: { audiences: [{ ...LIST, members: [] }], profiles: { ada: { email: 'ada@example.com' } } },
      config,
      receiver: {
        answer: ({ message }) => {
          const user = message?.user ?? '';
          if (user.startsWith('refused'))
            return { status: 422, body: `}}]]${SCRIPT}`, headers: { 'content-type': 'application/json' } };
          return user === 'flaky' && flaky++ === 0 ? { status: 503 } : undefined;
        },
      },
    });
    deliveries = openDeliveryReader({ folder }, sealingWith([]));
    const store = openDeliveryStore({ folder, retentionDays: 30 }, 'made-up');
    await store.write({ number: 1, rows: MADE_UP, deeds: MADE_UP_DEEDS, dropped: 0 });
    await store.close();
    job = await lab.start({
      audiences: [LIST.slug],
      webhookUrl: `${lab.receiver.url}very-secret?token=hidden`,
      answers: { '422': 'dead-letter' },
    });
    browser = await TestBrowser.start();
    api = await openApi();
    for (const user of ['ada', 'refused', 'flaky']) await push(user);
    for (const [user, count] of [
      ['ada', 1],
      ['refused', 1],
      ['flaky', 2],
    ] as const)
      await written(user, count);
  });
  afterAll(async () => {
    await api.close();
    await deliveries.close();
    await browser.close();
    await lab.close();
  });

  test('finds what somebody looks for, keeps that in the address, and forgets it again', async () => {
    const { page } = await browser.open(api.url);
    await page.getByRole('link', { name: 'Deliveries' }).click();
    await page.getByLabel('Job', { exact: true }).fill(job);
    await page.getByLabel('Outcome').selectOption('failed');
    await page.getByLabel('From').fill('2020-01-01T10:00');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'refused' }).waitFor();
    await page.getByRole('link', { name: 'flaky' }).waitFor();
    expect(await page.getByRole('link', { name: 'ada' }).count()).toBe(0);
    const since = await page.evaluate<string>("new Date('2020-01-01T10:00').toISOString()");
    expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({ job, verdict: 'failed', since });
    await page.goto(`${page.url()}&status=422`);
    await page.getByRole('link', { name: 'refused' }).waitFor();
    expect(await page.getByRole('link', { name: 'flaky' }).count()).toBe(0);
    expect(await page.getByLabel('HTTP status').inputValue()).toBe('422');
    expect(await page.getByLabel('From').inputValue()).toBe('2020-01-01T10:00');
    await looked(page, 'deliveries');
    await page.getByRole('link', { name: 'Clear' }).click();
    await page.getByRole('link', { name: 'ada' }).waitFor();
    expect(new URL(page.url()).search).toBe('');
    expect(await page.getByLabel('Outcome').inputValue()).toBe('');
    await page.getByLabel('HTTP status').fill('1000');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText('InvalidRequest').waitFor();
  });

  test('shows older ones, page by page', async () => {
    const { page } = await browser.open(`${api.url}/deliveries?job=made-up`, { viewport: NARROW });
    await page.getByRole('link', { name: 'p49', exact: true }).waitFor();
    expect(await users(page)).toHaveLength(50);
    for (const last of ['p99', 'p119']) {
      await page.getByRole('button', { name: 'Show older ones' }).click();
      await page.getByRole('link', { name: last, exact: true }).waitFor();
    }
    expect(await users(page)).toEqual(MADE_UP.map(({ user }) => user));
    expect(await page.getByRole('button', { name: 'Show older ones' }).count()).toBe(0);
    await looked(page, 'deliveries-narrow');
  });

  test('shows new ones as they come, as far as they match', async () => {
    const { page } = await browser.open(`${api.url}/deliveries?job=${job}&verdict=delivered`);
    await page.getByRole('link', { name: 'flaky' }).waitFor();
    // The page asks once more when they begin to come, for what came before.
    const begins = page.waitForResponse((response) => response.url().includes('/v1/deliveries?'));
    await page.getByLabel('Show new ones live').check();
    await begins;
    for (const user of ['refused-live', 'live-1', 'live-2']) {
      await push(user);
      await written(user);
    }
    await page.getByRole('link', { name: 'live-2' }).waitFor();
    expect((await users(page)).slice(0, 3)).toEqual(['live-2', 'live-1', 'flaky']);
    await page.getByLabel('Show new ones live').uncheck();
    // What is meant to end has no live end.
    await page.goto(`${api.url}/deliveries?until=2026-11-30T00:00:00Z`);
    expect(await page.getByLabel('Show new ones live').isDisabled()).toBe(true);
  });

  test('opens all attempts of one: request and answer as text, and a command without secrets', async () => {
    const { page, context } = await browser.open(`${api.url}/deliveries?job=${job}&user=refused`);
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Show the delivery to refused' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('The answer').getByText('<img src=x').waitFor();
    await dialog.getByLabel('The request').getByText('"refused@example.com"').waitFor();
    expect(await page.evaluate<string>('document.title')).not.toBe('taken');
    expect(await page.evaluate<boolean>("document.body.textContent.includes('\\u202E')")).toBe(false);
    await dialog.getByRole('button', { name: 'Copy as curl' }).click();
    await dialog.getByText('copied').waitFor();
    const command = await page.evaluate<string>('navigator.clipboard.readText()');
    expect(command).toMatch(
      /^curl --globoff --request POST 'http:\/\/127\.0\.0\.1:\d+\/…\?token=…' .*refused@example\.com/,
    );
    expect(command).not.toMatch(/very-secret|hidden/);
    await looked(page, 'delivery');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect(new URL(page.url()).search).toBe(`?job=${job}&user=refused`);
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('Show');

    await page.goto(`${api.url}/deliveries?job=${job}&user=flaky`);
    await page.getByRole('button', { name: 'Show the delivery to flaky' }).first().click();
    await dialog.getByText('Attempt 1').click();
    await dialog.getByLabel('The answer').getByText('HTTP 503').waitFor();
    await dialog.getByLabel('The answer').getByText('HTTP 200').waitFor();
  });

  test('shows who did what to everything, and to a job', async () => {
    await lab.jobs.pause(job, { by: { who: 'ada', door: 'client' }, reason: SCRIPT });
    await lab.jobs.resume(job);
    await until(async () => (await deliveries.deeds({ jobId: job }, 10)).entries.length >= 3);
    const { page } = await browser.open(api.url);
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('row', { name: new RegExp(`ada client ${job} paused <img`) }).waitFor();
    await page.getByLabel('Who').fill('ada');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByRole('row').nth(2).waitFor({ state: 'detached' });
    expect(new URL(page.url()).search).toBe('?who=ada');
    await looked(page, 'history-found');
    await page.goto(`${api.url}/jobs/${job}`);
    // By a key: the page grows while it loads, and would move the link away from under a click.
    await page.getByRole('link', { name: 'Everything in the delivery log' }).press('Enter');
    await page.getByRole('heading', { name: `History of ${job}` }).waitFor();
    await page.getByRole('row').nth(3).waitFor();
    expect(await page.getByRole('row').count()).toBe(4);
    expect(await page.evaluate<string>('document.title')).not.toBe('taken');
    await looked(page, 'history');
  });

  test('shows who did what page by page, and of a job between two times', async () => {
    const { page } = await browser.open(`${api.url}/history?job=made-up`);
    const who = async () => await page.locator('tbody td[data-name="Who"]').allTextContents();
    const named = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `w${from + n}`);
    await page.getByRole('cell', { name: 'w99', exact: true }).waitFor();
    expect(await who()).toEqual(named(0, 100));
    await page.getByRole('button', { name: 'Show older ones' }).click();
    await page.getByRole('cell', { name: 'w119', exact: true }).waitFor();
    expect(await who()).toEqual(named(0, 120));
    expect(await page.getByRole('button', { name: 'Show older ones' }).count()).toBe(0);
    const [since, until] = [MADE_UP_DEEDS[19]?.[1], MADE_UP_DEEDS[9]?.[1]];
    await page.goto(`${api.url}/history?job=made-up&since=${since}&until=${until}`);
    await page.getByRole('cell', { name: 'w19', exact: true }).waitFor();
    expect(await who()).toEqual(named(10, 20));
    await page.getByLabel('Job', { exact: true }).fill('another');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText('No such entries').waitFor();
  });

  test('downloads what was found', async () => {
    const { page } = await browser.open(`${api.url}/deliveries?job=made-up&user=p7`);
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    const lines = (await readFile(await (await downloading).path(), 'utf8')).trim().split('\r\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain(',made-up,aa7,');
  });

  test('counts the deliveries of a job, and leads from a number and from a step to them', async () => {
    const { page } = await browser.open(`${api.url}/jobs/${job}`);
    const section = page.getByRole('region', { name: 'Deliveries, the last 24 h' });
    await section.getByRole('img', { name: /^\d+ delivered, \d+ failed in the last 24 h$/ }).waitFor();
    await looked(page, 'job-deliveries');
    for (const span of ['7 d', '30 d', '1 h']) {
      await page.getByRole('button', { name: span }).click();
      await page.getByRole('img', { name: new RegExp(`[1-9] failed in the last ${span}$`) }).waitFor();
    }
    await page.getByRole('button', { name: 'table' }).last().click();
    const steps = page.getByRole('region', { name: 'Deliveries, the last 1 h' }).getByRole('row').getByRole('link');
    await steps.last().click();
    await page.getByRole('heading', { name: 'Deliveries', exact: true }).waitFor();
    const { since = '', until: end = '' } = Object.fromEntries(new URL(page.url()).searchParams);
    expect(Date.parse(end) - Date.parse(since)).toBe(60_000);
    await page.getByRole('link', { name: 'ada' }).waitFor();
    await page.goBack();
    await page.getByText('HTTP 422').first().waitFor();
    await page.locator('.figures div', { hasText: 'HTTP 422' }).getByRole('link').click();
    await page.getByRole('link', { name: 'refused', exact: true }).waitFor();
    expect(Object.fromEntries(new URL(page.url()).searchParams)).toMatchObject({
      job,
      verdict: 'failed',
      status: '422',
    });
    // A mouse has the bars: here the end of the one that began an hour before.
    const step = Math.floor(Date.now() / 900_000) * 900;
    await page.clock.setFixedTime((step + 450) * 1000);
    await page.goto(`${api.url}/jobs/${job}`);
    const plot = page.getByRole('img', { name: /failed in the last 24 h$/ }).locator('.u-over');
    const { width = 0 } = (await plot.boundingBox()) ?? {};
    await plot.click({ position: { x: (width * (DAY_S - 3600 + 800)) / (DAY_S + 450), y: 50 } });
    await page.getByRole('heading', { name: 'Deliveries', exact: true }).waitFor();
    expect(new URL(page.url()).searchParams.get('since')).toBe(new Date((step - 3600) * 1000).toISOString());
  });

  test('finds a delivery by its webhook-id, from the jobs, a person and a dead letter', async () => {
    const { rows } = await deliveries.find({ jobId: job, user: 'refused' }, 1);
    const id = rows[0]?.deliveryId ?? '';
    const { page } = await browser.open(api.url);
    const found = async (): Promise<void> => {
      await page.getByRole('link', { name: id }).click();
      await page.getByRole('button', { name: 'Show the delivery to refused' }).waitFor();
      expect(new URL(page.url()).search).toBe(`?id=${id}`);
    };
    await page.getByLabel('Search jobs').fill(` ${id.toUpperCase()}`);
    await found();
    await page.goto(`${api.url}/people?user=refused&job=${job}`);
    await page.getByText('From the delivery log.').waitFor();
    expect(await page.getByText('Signalled:').count()).toBe(0);
    await page.getByRole('button', { name: 'Read the histories' }).click();
    await page.getByText('Signalled:').first().waitFor();
    await page.goto(`${api.url}/people?user=refused&job=${job}`);
    await found();
    await page.goto(`${api.url}/people?user=refused&job=${job}`);
    await page.getByRole('link', { name: 'Deliveries to this person' }).press('Enter');
    await page.getByRole('button', { name: 'Show the delivery to refused' }).waitFor();
    expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({ job, user: 'refused' });
    await page.goto(`${api.url}/dead-letters?job=${job}`);
    await page.getByRole('button', { name: 'Show the dead letter of refused', exact: true }).click();
    await found();
  });

  test('shows a key for some jobs only those', async () => {
    const { secret: key, hash } = newApiKey();
    const keyed = await openApi({ keys: { some: { hash, may: ['read'], jobs: [job] } } });
    const { page } = await browser.open(`${keyed.url}/deliveries`);
    await signIn(page, key);
    await page.getByRole('link', { name: 'ada' }).waitFor();
    expect(await page.getByRole('link', { name: 'made-up' }).count()).toBe(0);
    await page.context().close();
    await keyed.close();
  });

  test('says how to have a log, and shows nothing more of a job without one', async () => {
    const without = await openApi({ deliveries: undefined });
    const { page } = await browser.open(`${without.url}/deliveries`);
    await page.getByRole('heading', { name: 'There is no delivery log' }).waitFor();
    await looked(page, 'no-delivery-log');
    await page.goto(`${without.url}/jobs/${job}`);
    await page.waitForResponse((response) => response.url().includes('/v1/stats'));
    await page.getByRole('heading', { name: 'Recent attempts' }).waitFor();
    expect(await page.getByRole('region', { name: 'Deliveries' }).count()).toBe(0);
    await page.context().close();
    await without.close();
  });

  test('says that the log cannot be read, and reads it again later', async () => {
    const { page } = await browser.open(`${api.url}/`);
    let isAway = true;
    await page.route('**/v1/deliveries?*', async (route) => {
      if (!isAway) return await route.continue();
      const json = { code: 'DeliveryLogError', detail: 'The delivery log cannot be read now.' };
      await route.fulfill({ status: 503, json });
    });
    await page.goto(`${api.url}/deliveries`);
    await page.getByText('The delivery log cannot be read now.').waitFor();
    isAway = false;
    await page.getByRole('link', { name: 'ada' }).waitFor();
    await page.getByText('The delivery log cannot be read now.').waitFor({ state: 'detached' });
  });

  test('says when rows may be missing', async () => {
    const store = openDeliveryStore({ folder, retentionDays: 30 }, '9@there 0f');
    await store.write({ number: 1, rows: [], dropped: 5 });
    await store.close();
    const { page } = await browser.open(`${api.url}/deliveries`);
    await page.getByText('the worker 9@there dropped 5').waitFor();
    await looked(page, 'log-with-a-gap');
  });

  test('made no mistake in any of this', () => {
    expect(browser.mistakes.filter((mistake) => !mistake.includes('503'))).toEqual([]);
  });

  test('sends a delivery again, with its webhook-id', async () => {
    const { page } = await browser.open(`${api.url}/deliveries?job=${job}&user=ada`);
    await page.getByRole('button', { name: 'Show the delivery to ada' }).click();
    await page.getByRole('button', { name: 'Send again' }).click();
    await page.getByText('It is being sent again.').waitFor();
    await written('ada', 2);
    const arrived = lab.receiver.ledger.entries.filter(({ message }) => message?.user === 'ada');
    expect(arrived).toHaveLength(2);
    expect(new Set(arrived.map(({ deliveryId }) => deliveryId)).size).toBe(1);
  });
});

/** The people of the table, from top to bottom. */
async function users(page: Page): Promise<string[]> {
  return await page.locator('td[data-name="Person"]').allTextContents();
}
