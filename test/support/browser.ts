import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from '@jest/globals';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterwards } from '../webhook/a-server.ts';
import { PATIENCE_MS, until } from './patience.ts';

const NAMES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** The browser of this machine; CHROMIUM names another one. */
const executablePath = [process.env['CHROMIUM'] ?? '', ...NAMES].find((path) => existsSync(path));
if (executablePath === undefined)
  process.stderr.write(
    'SKIPPED: what needs a browser is not tried. Missing is: Chromium (apt-get install chromium).\n',
  );

export const describeWithBrowser = executablePath === undefined ? describe.skip : describe;

/** Where pictures of pages go, for people to look at; without PICTURES none are taken. */
const pictures = process.env['PICTURES'];

export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 390, height: 800 };

/** A real browser. Whatever goes wrong in a page that it shows is kept in `mistakes`. */
export class TestBrowser {
  readonly mistakes: string[] = [];
  readonly #browser: Browser;

  /** @param names that lead to this machine, as after DNS rebinding. */
  static async start(names: readonly string[] = []): Promise<TestBrowser> {
    // Its sandbox, and its shared memory, want what a container does not have; it sees nothing but pages of these tests.
    const args = ['--no-sandbox', '--disable-dev-shm-usage'];
    if (names.length > 0) args.push(`--host-resolver-rules=${names.map((name) => `MAP ${name} 127.0.0.1`).join(', ')}`);
    return new TestBrowser(await chromium.launch({ executablePath: executablePath ?? '', args }));
  }

  private constructor(browser: Browser) {
    this.#browser = browser;
    if (pictures !== undefined) mkdirSync(pictures, { recursive: true });
  }

  /** A page of somebody of whom the browser knows nothing yet; it is closed after the test. */
  async open(
    url: string,
    { viewport = WIDE } = {},
  ): Promise<{ readonly page: Page; readonly context: BrowserContext }> {
    const context = await this.#browser.newContext({ viewport, reducedMotion: 'reduce' });
    afterwards(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.mistakes.push(error.message));
    page.on('console', (message) => {
      // That the API refuses something is a part of what the page shows.
      const isRefusal = /Failed to load resource: the server responded with a status of 4\d\d/.test(message.text());
      if (message.type() === 'error' && !isRefusal) this.mistakes.push(message.text());
    });
    await page.goto(url);
    return { page, context };
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}

export async function signIn(page: Page, key: string): Promise<void> {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Has axe-core look at a page in both schemes, and takes pictures of it if those are wanted. */
export async function looked(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    if (pictures !== undefined)
      await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`), fullPage: true });
    // Nothing but colours depends on the scheme.
    expect(await violations(page, colorScheme === 'dark' ? "{ runOnly: ['color-contrast'] }" : '')).toEqual([]);
  }
}

/** A button of a dialogue has stood there for as long as a double click takes, so that a key presses it. */
export async function pressable(page: Page, name: string): Promise<void> {
  const button = page.getByRole('dialog').getByRole('button', { name, exact: true });
  await until(async () => (await button.getAttribute('aria-disabled')) === 'false');
}

interface AxeResult {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

async function violations(page: Page, options: string): Promise<string[]> {
  // By the debugger: the page's own policy lets no script in.
  await page.evaluate(axe.source);
  const found = await page.evaluate<AxeResult[]>(`axe.run(${options}).then(({ violations }) => violations)`);
  return found.map(
    ({ id, impact, nodes }) =>
      `${impact} ${id}: ${nodes
        .map(({ html }) => html)
        .join(' | ')
        .slice(0, 400)}`,
  );
}
