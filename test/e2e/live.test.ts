import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readSigningSecret, signBody } from '../../src/webhook/signature.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { configured } from '../webhook/an-authorization.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open({
    receiver: { keepBodies: true },
    content: {
      audiences: [
        { ...VIP, members: [], windowMinutes: 15 },
        { ...NEWS, members: [] },
      ],
      profiles: { ada: { name: 'Ada', loyalty: 9007199254740993n, address: { city: 'London', zip: 'N1' } } },
    },
  });
});
afterAll(async () => lab.close());

async function bodyOf(user: string): Promise<string> {
  await lab.receiver.ledger.waitFor((ledger) => ledger.entries.some(({ message }) => message?.user === user));
  return lab.receiver.ledger.entries.find(({ message }) => message?.user === user)?.body ?? '';
}

test('a live enter arrives in the new format, with the profile from the source and every digit in it', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'ada', at: '2020-10-14T13:27:33.916374949-07:00' });
  const body = await bodyOf('ada');
  const { subscriptionId } = await lab.jobs.status(job);
  expect(body).toContain('"loyalty":9007199254740993');
  expect(JSON.parse(body)).toMatchObject({
    id: 'ada',
    data: {
      name: 'Ada',
      segment_events: [{ id: VIP.id, event: 'enter', slug: 'vip', enter: '2020-10-14T13:27:33.916374949-07:00' }],
    },
    meta: { object: 'user', subscription_id: subscriptionId },
  });
});

test('a live exit arrives in the legacy format, with the profile that was signalled', async () => {
  const job = await lab.start({ userLegacyMessageFormat: true, exportFields: ['address.city'] });
  await lab.jobs.exit(job, {
    audience: NEWS.id,
    user: 'bob',
    profile: { name: 'Bob', address: { city: 'Rome', zip: '1' } },
  });
  expect(JSON.parse(await bodyOf('bob'))).toMatchObject({
    id: 'bob',
    data: {
      _audience: NEWS.id,
      _audience_action: 'exited',
      _audience_friendly: 'news',
      _audience_name: NEWS.name,
      address: { city: 'Rome' },
    },
    table: 'user',
    segment_events: [{ id: NEWS.id, event: 'exit', slug: 'news' }],
  });
});

test('integers beyond 2^53 in a signalled profile keep their digits through the whole job', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, {
    audience: 'vip',
    user: 'big',
    profile: { visits: [18446744073709551615n, { deep: -9007199254740993n }] },
  });
  expect(await bodyOf('big')).toContain('"visits":[18446744073709551615,{"deep":-9007199254740993}]');
});

test('a trigger for somebody whom the source never knew is sent with segment_events alone: an exit at once', async () => {
  const job = await lab.start();
  await lab.jobs.exit(job, { audience: 'vip', user: 'nobody' });
  expect(Object.keys(JSON.parse(await bodyOf('nobody')).data)).toEqual(['segment_events']);
});

test('[S21] with an authorization, requests carry its headers and its signature; neither a start nor an edit takes it elsewhere', async () => {
  const origin = new URL(lab.receiver.url).origin;
  const signing = await Lab.open({
    receiver: { keepBodies: true },
    config: {
      authorizations: configured({
        acme: { origins: [origin], headers: { 'x-api-key': 'k1' }, signingSecrets: [SECRET] },
      }),
    },
  });
  try {
    // The receiver of the first lab, which the authorization is bound to.
    const job = await signing.start({ authorization: 'acme', webhookUrl: lab.receiver.url });
    await signing.jobs.enter(job, { audience: 'vip', user: 'signed', profile: {} });
    const body = await bodyOf('signed');
    const arrival = lab.receiver.ledger.entries.find(({ message }) => message?.user === 'signed');
    const headers = arrival?.headers ?? {};
    expect(headers['x-api-key']).toBe('k1');
    const { signature } = signBody(
      [readSigningSecret(SECRET)],
      arrival?.deliveryId ?? '',
      Number(headers['webhook-timestamp']),
      body,
    );
    expect(headers['webhook-signature']).toBe(signature);
    const elsewhere = { webhookUrl: signing.receiver.url };
    await expect(signing.start({ ...elsewhere, authorization: 'acme' })).rejects.toThrow(/may not be sent to/);
    await expect(signing.jobs.edit(job, elsewhere)).rejects.toThrow(/may not be sent to/);
  } finally {
    await signing.close();
  }
});
