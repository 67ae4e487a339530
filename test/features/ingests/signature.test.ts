import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { canVerify, type Proof, proofProblem } from '../../../src/features/ingests/signature.ts';

const NOW = Date.parse('2026-11-27T08:30:00Z');
const body = Buffer.from('{"user":"Zoë"}');

function problemOf(proof: Proof, headers: Record<string, string>, query: Record<string, string> = {}, bytes = body) {
  return proofProblem(proof, { headers, query, body: bytes }, NOW);
}

describe('HMAC over the bytes of the body', () => {
  const scheme = { kind: 'hmac', header: 'x-signature', algorithm: 'sha1', encoding: 'hex' } as const;
  const proof: Proof = { signature: { scheme, secrets: ['new', 'old'] } };
  const signed = (secret: string, bytes: Buffer = body) => ({
    'x-signature': createHmac('sha1', secret).update(bytes).digest('hex'),
  });

  test('the right one is taken, of any secret that is configured, also in capitals and behind its algorithm', () => {
    expect(problemOf(proof, signed('new'))).toBeUndefined();
    expect(problemOf(proof, signed('old'))).toBeUndefined();
    expect(problemOf(proof, { 'x-signature': signed('new')['x-signature'].toUpperCase() })).toBeUndefined();
    expect(problemOf(proof, { 'x-signature': `sha1=${signed('new')['x-signature']}` })).toBeUndefined();
  });

  test('[S36] another secret, another body, one that says the same in other bytes, and none are refused', () => {
    expect(problemOf(proof, signed('other'))).toMatch(/x-signature/);
    expect(problemOf(proof, signed('new', Buffer.from('{"user":"Zoe"}')))).toMatch(/x-signature/);
    expect(problemOf(proof, signed('new'), {}, Buffer.from('{"user": "Zoë"}'))).toMatch(/x-signature/);
    expect(problemOf(proof, {})).toMatch(/missing/);
    expect(problemOf(proof, { 'x-signature': '' })).toMatch(/missing/);
  });

  describe('a batch whose sender signs only the first event, as Segment does', () => {
    const first = '{"userId":"Zoë \\"]}","traits":{"a":[1,{}]}}';
    const batch = Buffer.from(` [ ${first} , {"userId":"other"}]`);
    const byFirst: Proof = { signature: { scheme: { ...scheme, covers: 'first-event' }, secrets: ['new'] } };

    test('such a batch is refused unless the configuration allows it, and the reason names the setting', () => {
      const signedFirst = signed('new', Buffer.from(first));
      expect(problemOf(proof, signedFirst, {}, batch)).toMatch(/"covers"/);
      expect(problemOf(proof, signed('other', Buffer.from(first)), {}, batch)).not.toMatch(/"covers"/);
      expect(problemOf(byFirst, signedFirst, {}, batch)).toBeUndefined();
    });

    test('[S36] with that setting, signatures of another first event, another secret or the whole batch are refused', () => {
      const others = Buffer.from(`[{"userId":"other"},${first}]`);
      expect(problemOf(byFirst, signed('new', Buffer.from(first)), {}, others)).toMatch(/x-signature/);
      expect(problemOf(byFirst, signed('other', Buffer.from(first)), {}, batch)).toMatch(/x-signature/);
      expect(problemOf(byFirst, signed('new', batch), {}, batch)).toMatch(/x-signature/);
    });

    test('a body that is no batch, or is cut off, is signed as a whole', () => {
      for (const bytes of [body, Buffer.from('[]'), Buffer.from('[{"a":1'), Buffer.from(''), Buffer.from('7')])
        expect(problemOf(byFirst, signed('new', bytes), {}, bytes)).toBeUndefined();
    });
  });

  test('no secret and nothing that was sent is repeated', () => {
    expect(problemOf(proof, { 'x-signature': 'f00' })).not.toMatch(/f00|new\b.*old/);
  });
});

test('Customer.io signs its timestamp, too', () => {
  const proof: Proof = { signature: { scheme: { kind: 'customerio' }, secrets: ['s'] } };
  const signature = createHmac('sha256', 's')
    .update(Buffer.concat([Buffer.from('v0:1795768200:'), body]))
    .digest('hex');
  const headers = { 'x-cio-timestamp': '1795768200', 'x-cio-signature': signature };
  expect(problemOf(proof, headers)).toBeUndefined();
  expect(problemOf(proof, { ...headers, 'x-cio-timestamp': '1795768201' })).toMatch(/x-cio-signature/);
});

describe('Standard Webhooks', () => {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const proof: Proof = { signature: { scheme: { kind: 'standard-webhooks' }, secrets: [secret] } };
  const headersAt = (at: number) => ({
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(at / 1000),
    'webhook-signature': new Webhook(secret).sign('msg_1', new Date(at), body.toString()),
  });

  test('the API accepts signatures of the standard’s own library, also beside another signature', () => {
    const headers = headersAt(NOW);
    expect(problemOf(proof, headers)).toBeUndefined();
    const beside = { ...headers, 'webhook-signature': `v1,AAAA ${headers['webhook-signature']} v2,x` };
    expect(problemOf(proof, beside)).toBeUndefined();
  });

  test('[S43] the first five signatures are compared: a header has room for thousands, which would cost the API seconds', () => {
    const headers = headersAt(NOW);
    const behind = (others: number): string => `${'v1,AAAA '.repeat(others)}${headers['webhook-signature']}`;
    expect(problemOf(proof, { ...headers, 'webhook-signature': behind(4) })).toBeUndefined();
    expect(problemOf(proof, { ...headers, 'webhook-signature': behind(5) })).toMatch(/webhook-signature/);
  });

  test('more than five minutes ago, or ahead, is refused', () => {
    expect(problemOf(proof, headersAt(NOW - 299_000))).toBeUndefined();
    expect(problemOf(proof, headersAt(NOW - 301_000))).toMatch(/five minutes/);
    expect(problemOf(proof, headersAt(NOW + 301_000))).toMatch(/five minutes/);
  });

  test('another id, time, body or secret, and a header that is missing are refused', () => {
    const headers = headersAt(NOW);
    expect(problemOf(proof, { ...headers, 'webhook-id': 'msg_2' })).toMatch(/webhook-signature/);
    expect(problemOf(proof, { ...headers, 'webhook-timestamp': String(NOW / 1000 + 1) })).toMatch(/webhook-signature/);
    expect(problemOf(proof, headers, {}, Buffer.from('{}'))).toMatch(/webhook-signature/);
    const other = `whsec_${randomBytes(32).toString('base64')}`;
    expect(problemOf({ signature: { scheme: { kind: 'standard-webhooks' }, secrets: [other] } }, headers)).toMatch(
      /webhook-signature/,
    );
    for (const name of Object.keys(headers))
      expect(problemOf(proof, Object.fromEntries(Object.entries(headers).filter(([one]) => one !== name)))).toMatch(
        /missing/,
      );
  });

  test('with an ed25519 key, the public half verifies', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const shown = publicKey.export({ format: 'der', type: 'spki' }).subarray(12);
    const whpk = `whpk_${shown.toString('base64')}`;
    expect(canVerify(whpk)).toBe(true);
    const content = Buffer.concat([Buffer.from(`a.${NOW / 1000}.`), body]);
    const headers = {
      'webhook-id': 'a',
      'webhook-timestamp': String(NOW / 1000),
      'webhook-signature': `v1a,${sign(null, content, privateKey).toString('base64')}`,
    };
    const proof: Proof = { signature: { scheme: { kind: 'standard-webhooks' }, secrets: [whpk] } };
    expect(problemOf(proof, headers)).toBeUndefined();
    expect(problemOf(proof, headers, {}, Buffer.from('{}'))).toMatch(/webhook-signature/);
  });

  test.each(['whsec_', 'whsec_not base64!', 'whpk_AAAA', 'secret', 'whsk_AAAA'])('%s verifies nothing', (text) => {
    expect(canVerify(text)).toBe(false);
  });
});

test('[S36] basic, a header and a parameter are compared whole, and all that is configured is asked for', () => {
  const basic = [{ username: 'mix', password: 'p:ss' }];
  const credentials = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
  expect(problemOf({ basic }, credentials('mix:p:ss'))).toBeUndefined();
  expect(problemOf({ basic }, credentials('mix:p:s'))).toMatch(/password/);
  expect(problemOf({ basic }, {})).toMatch(/password/);
  const header = { name: 'x-token', values: ['abc'] };
  expect(problemOf({ header }, { 'x-token': 'abc' })).toBeUndefined();
  expect(problemOf({ header }, { 'x-token': 'abcd' })).toMatch(/x-token/);
  const parameter = { name: 'key', values: ['abc'] };
  expect(problemOf({ parameter }, {}, { key: 'abc' })).toBeUndefined();
  expect(problemOf({ parameter }, {}, {})).toMatch(/key/);
  expect(problemOf({ parameter, header }, {}, { key: 'abc' })).toMatch(/x-token/);
});
