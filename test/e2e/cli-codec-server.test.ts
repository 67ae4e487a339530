import { expect, test } from '@jest/globals';
import { fromWire, toWire } from '../../src/temporal/codec-server.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { payloadConverter } from '../../src/temporal/payload-converter.ts';
import { startTriggers } from '../support/triggers-cli.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';

const TOKEN = 'a-token-of-the-test';
const env = { TRIGGERS_CODEC_TOKEN: TOKEN, TRIGGERS_PAYLOAD_KEYS: aPayloadKey('k1') };

test('the codec server says where it is and never its token, asks for the token, and ends by Ctrl-C', async () => {
  const origin = 'https://temporal.example.com';
  const program = startTriggers(['codec-server', '--port', '0', '--ui-origin', `${origin}/`, '--json'], { env });
  try {
    await program.says(({ stdout }) => stdout.includes('\n'));
    const { url, uiOrigins } = JSON.parse(program.stdout) as { url: string; uiOrigins: string[] };
    expect(uiOrigins).toEqual([origin]);
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const ask = (path: string) => fetch(`${url}${path}`, { method: 'POST', body: '{}', headers: { origin } });
    expect((await ask('/decode')).status).toBe(401);
    const answer = await ask(`/${TOKEN}/decode`);
    expect({ status: answer.status, allowed: answer.headers.get('access-control-allow-origin') }).toEqual({
      status: 200,
      allowed: origin,
    });
    program.signal('SIGINT');
    const { code, stdout, stderr } = await program.end();
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain(TOKEN);
  } finally {
    await program.kill();
  }
});

test('without keys it unpacks what is packed, and encrypts nothing', async () => {
  const program = startTriggers(['codec-server', '--port', '0', '--json'], {
    env: { TRIGGERS_CODEC_TOKEN: TOKEN, TRIGGERS_PAYLOAD_KEYS: undefined },
  });
  try {
    await program.says(({ stdout }) => stdout.includes('\n'));
    const { url } = JSON.parse(program.stdout) as { url: string };
    const value = 'x'.repeat(100_000);
    let payloads = [payloadConverter.toPayload(value)];
    for (const codec of dataConverterWith([]).payloadCodecs ?? []) payloads = await codec.encode(payloads);
    const ask = async (path: string, some: typeof payloads) => {
      const answer = await fetch(`${url}/${TOKEN}${path}`, { method: 'POST', body: JSON.stringify(toWire(some)) });
      return fromWire(await answer.text()) ?? [];
    };
    expect((await ask('/decode', payloads)).map((one) => payloadConverter.fromPayload(one))).toEqual([value]);
    const small = [payloadConverter.toPayload('small')];
    expect((await ask('/encode', small)).map((one) => payloadConverter.fromPayload(one))).toEqual(['small']);
  } finally {
    await program.kill();
  }
});
