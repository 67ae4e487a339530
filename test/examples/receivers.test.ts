import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { request } from 'undici';
import { freePort } from '../../src/network/free-ports.ts';
import { newSigningSecret } from '../../src/config/references.ts';
import { readSigningSecret, signBody } from '../../src/webhook/signature.ts';
import { tempFolder } from '../support/temp-folder.ts';

const SECRET = `whsec_${Buffer.from('thirty-two bytes of a test secret').toString('base64')}`;
const OTHER_SECRET = `whsec_${Buffer.from('thirty-two bytes of other secrets').toString('base64')}`;
/** As docs/receiving.md says: no message is longer. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
const receivers = fileURLToPath(new URL('../../examples/receivers', import.meta.url));
const fixtures = fileURLToPath(new URL('../fixtures', import.meta.url));
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Example {
  readonly language: string;
  readonly isThere: boolean;
  /** Whether it can verify ed25519. */
  readonly knowsEd25519: boolean;
  /** Command and arguments; may build first. */
  readonly command: () => Promise<readonly [string, ...string[]]>;
}

const examples: readonly Example[] = [
  {
    language: 'node',
    isThere: true,
    knowsEd25519: true,
    command: async () => [process.execPath, join(receivers, 'node', 'receiver.mjs')],
  },
  {
    language: 'python',
    isThere: runs('python3', '--version'),
    knowsEd25519: runs('python3', '-c', 'import cryptography'),
    command: async () => ['python3', join(receivers, 'python', 'receiver.py')],
  },
  { language: 'go', isThere: runs('go', 'version'), knowsEd25519: true, command: buildGo },
];

describe.each(examples)('the receiver in $language', ({ language, isThere, knowsEd25519, command }) => {
  const promise = isThere ? test : test.skip;

  promise(
    'prints both payload formats when the signature is right, and answers 401 when anything about it is wrong',
    async () => {
      const { url, lines } = await start(await command());
      const post = async (body: string, headers: Record<string, string>) => {
        const answer = await request(url, { method: 'POST', body, headers });
        await answer.body.dump();
        return answer.statusCode;
      };
      const now = new Date();
      const bodyOf = (format: string) => readFile(join(fixtures, `payload.${format}.json`), 'utf8');
      for (const [id, format] of [
        ['first', 'new'],
        ['second', 'legacy'],
      ] as const) {
        const body = await bodyOf(format);
        expect(await post(body, signed(id, now, body))).toBe(204);
        expect(await lines()).toBe(`enter late-bloomers 18046744073709551557 (${id})`);
      }
      const body = await bodyOf('new');
      const good = signed('third', now, body);
      const rotated = `${signed('third', now, body, OTHER_SECRET)['webhook-signature']} ${good['webhook-signature']}`;
      expect(await post(body, { ...good, 'webhook-signature': rotated })).toBe(204);
      const refused = [
        post(`${body} `, good),
        post(body, { ...good, 'webhook-id': 'fourth' }),
        post(body, { ...good, 'webhook-timestamp': String(Number(good['webhook-timestamp']) + 1) }),
        post(body, signed('third', now, body, OTHER_SECRET)),
        post(body, signed('third', new Date(now.getTime() - 10 * 60_000), body)),
        post(body, signed('third', new Date(now.getTime() + 10 * 60_000), body)),
        post(body, { ...good, 'webhook-signature': '' }),
        post(body, { ...good, 'webhook-signature': 'v1,' }),
        post(body, { ...good, 'webhook-signature': good['webhook-signature'].slice(0, 'v1,'.length + 8) }),
        post(body, {}),
      ];
      expect(await Promise.all(refused)).toEqual(refused.map(() => 401));
    },
  );

  promise('takes a message as long as any that is sent, and reads no more of what is longer', async () => {
    const { url } = await start(await command());
    const { segment_events } = JSON.parse(await readFile(join(fixtures, 'payload.legacy.json'), 'utf8')) as object & {
      segment_events: unknown;
    };
    const bodyOf = (bytes: number): string => {
      const message = { id: '1', segment_events, note: '' };
      return JSON.stringify({ ...message, note: 'x'.repeat(bytes - JSON.stringify(message).length) });
    };
    const post = async (body: string): Promise<number> => {
      const answer = await request(url, { method: 'POST', body, headers: signed('long', new Date(), body) });
      await answer.body.dump();
      return answer.statusCode;
    };
    expect(await post(bodyOf(MAX_BODY_BYTES))).toBe(204);
    // It may well say so by ending the connection.
    const refused = await post(bodyOf(MAX_BODY_BYTES + 100_000)).catch(() => 413);
    expect([400, 413]).toContain(refused);
  });

  (isThere && knowsEd25519 ? test : test.skip)(
    'believes an ed25519 signature by the public key alone, beside one of another kind, and no other',
    async () => {
      const { secret, publicKey = '' } = newSigningSecret('ed25519');
      const other = newSigningSecret('ed25519').secret;
      const { url } = await start(await command(), publicKey);
      const body = await readFile(join(fixtures, 'payload.new.json'), 'utf8');
      const post = async (secrets: string[], more: Record<string, string> = {}, sent = body) => {
        const seconds = Math.floor(Date.now() / 1000);
        const { signature } = signBody(secrets.map(readSigningSecret), 'an-id', seconds, body);
        const headers = { 'webhook-id': 'an-id', 'webhook-timestamp': String(seconds), 'webhook-signature': signature };
        const answer = await request(url, { method: 'POST', body: sent, headers: { ...headers, ...more } });
        await answer.body.dump();
        return answer.statusCode;
      };
      expect([await post([secret]), await post([SECRET, other, secret])]).toEqual([204, 204]);
      expect([await post([other]), await post([SECRET])]).toEqual([401, 401]);
      expect([await post([secret], { 'webhook-id': 'other' }), await post([secret], {}, `${body} `)]).toEqual([
        401, 401,
      ]);
    },
  );

  promise('says what is missing when it has no secret, or one that anybody could sign with', async () => {
    const [program, ...args] = await command();
    for (const secret of ['', 'whsec_', 'whpk_', `whsec_${Buffer.alloc(23).toString('base64')}`]) {
      const run = spawnSync(program, args, { env: { ...process.env, WEBHOOK_SECRET: secret }, encoding: 'utf8' });
      expect([language, secret, run.status]).toEqual([language, secret, 1]);
      expect(run.stderr).toMatch(/Set WEBHOOK_SECRET/);
    }
  });
});

test('the receiver that docs/receiving.md shows in ten lines believes a right signature and no other', async () => {
  const page = await readFile(new URL('../../docs/receiving.md', import.meta.url), 'utf8');
  const program = /^```js receiver\.mjs\n(.*?)^```$/ms.exec(page)?.[1] ?? '';
  const port = await freePort();
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, WEBHOOK_SECRET: SECRET, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanUps.push(() => end(child));
  const body = await readFile(join(fixtures, 'payload.new.json'), 'utf8');
  const post = async (headers: Record<string, string>, sent = body): Promise<number> => {
    const answer = await request(`http://127.0.0.1:${port}/`, { method: 'POST', body: sent, headers });
    await answer.body.dump();
    return answer.statusCode;
  };
  const good = signed('first', new Date(), body);
  while ((await post(good).catch(() => undefined)) === undefined) await setTimeout(20);
  const rotated = `${signed('first', new Date(), body, OTHER_SECRET)['webhook-signature']} ${good['webhook-signature']}`;
  expect([await post(good), await post({ ...good, 'webhook-signature': rotated })]).toEqual([204, 204]);
  const { 'webhook-signature': _, ...unsigned } = good;
  expect(
    await Promise.all([
      post(unsigned),
      post(good, `${body} `),
      post({ ...good, 'webhook-id': 'second' }),
      post(signed('first', new Date(), body, OTHER_SECRET)),
      post(signed('first', new Date(Date.now() - 10 * 60_000), body)),
      post({ ...good, 'webhook-timestamp': 'now' }),
    ]),
  ).toEqual([401, 401, 401, 401, 401, 401]);
});

function signed(id: string, at: Date, body: string, secret = SECRET) {
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  };
}

function runs(program: string, ...args: readonly string[]): boolean {
  return spawnSync(program, args).status === 0;
}

async function buildGo(): Promise<readonly [string]> {
  const folder = tempFolder();
  const program = join(folder, 'receiver');
  await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd: join(receivers, 'go') });
  return [program];
}

/** @returns where it listens, and a function that waits for its next line. */
async function start([program, ...args]: readonly [string, ...string[]], secret = SECRET) {
  const child = spawn(program, args, {
    env: { ...process.env, WEBHOOK_SECRET: secret, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanUps.push(() => end(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value);
  const url = (await next()).replace('listening on ', '');
  return { url, lines: next };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill();
  await once(child, 'exit');
}
