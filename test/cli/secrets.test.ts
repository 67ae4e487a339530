import { expect, test } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { readPayloadKeys } from '../../src/temporal/payload-keys.ts';
import { isSigningSecret } from '../../src/webhook/signature.ts';
import { aTerminal } from './a-terminal.ts';

async function said(...args: string[]) {
  const { terminal, out, err } = aTerminal();
  await expect(run(['secrets', 'new', ...args], terminal)).resolves.toBe(0);
  return { out: out.join('\n'), err: err.join('\n') };
}

test('a new secret alone is on standard output, ready for a file; what to do with it is beside', async () => {
  const { out, err } = await said();
  expect(isSigningSecret(out)).toBe(true);
  expect(out).toMatch(/^whsec_/);
  expect(err).toMatch(/signingSecrets/);
  expect(err).not.toContain(out);
});

test('of ed25519, the public key is told for the receiver', async () => {
  const { out, err } = await said('--ed25519');
  expect(isSigningSecret(out)).toBe(true);
  expect(err).toMatch(/^whpk_[\w+/]{43}=$/m);
  const { secret, publicKey } = JSON.parse((await said('--ed25519', '--json')).out) as Record<string, string>;
  expect([secret, publicKey]).toEqual([expect.stringMatching(/^whsk_/), expect.stringMatching(/^whpk_/)]);
});

test('a payload key is one that workers and clients take, under the id of its month', async () => {
  const { out, err } = await said('--payload-key');
  expect(out).toMatch(/^\d{4}-\d{2}:/);
  expect([...readPayloadKeys([out]).byId.keys()]).toEqual([out.split(':')[0]]);
  expect(err).not.toContain(out.slice('2026-11:'.length));
});
