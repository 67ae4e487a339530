import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { DeliverySettings, SliceTrigger } from '../../src/contract/slice.ts';
import type { JsonObject, TriggerEvent } from '../../src/contract/trigger.ts';
import { MessageImpossible, type WebhookRequest } from '../../src/webhook/request.ts';
import { RequestMaker } from '../../src/webhook/request-maker.ts';
import { ItemsSkipped } from '../../src/webhook/templates.ts';
import { authorizationsOf } from './an-authorization.ts';
import {
  braze,
  customerIo,
  hubspot,
  restList,
  segment,
  slack,
  type StandIn,
  webToLead,
} from '../examples/endpoint-stand-ins.ts';

const audience = { id: 'a'.repeat(32), slug: 'vip', name: 'Very important' };
const none = await authorizationsOf({}).lookUp(null, new URL('https://x.example'));

/** The request that the job of a file makes, which has the credentials that its service demands. */
function requestOf(file: string, event: TriggerEvent, user: string, profile: JsonObject): WebhookRequest | 'skipped' {
  const job = JSON.parse(readFileSync(`examples/endpoints/${file}`, 'utf8')) as Record<string, unknown> & {
    readonly webhookUrl: string;
  };
  const settings = {
    subscriptionId: '5'.repeat(32),
    revision: 1,
    webhookUrl: job.webhookUrl,
    authorization: null,
    exportFields: [],
    userLegacyMessageFormat: false,
    requestTimeoutMs: 15_000,
    request: job,
    ...(job['batch'] === undefined ? {} : { batch: job['batch'] }),
  } as unknown as DeliverySettings; // A job's own fields are its request's.
  const trigger: SliceTrigger = { user, audience: audience.id, event, at: '2026-01-01T00:00:00Z' };
  if (!none.ok) throw new Error(none.code);
  try {
    const maker = new RequestMaker(settings);
    return maker.request([maker.item(trigger, audience, profile)], none.authorization, 'x/1');
  } catch (error) {
    const isSkipped = error instanceof ItemsSkipped || (error instanceof MessageImpossible && error.code === 'SKIPPED');
    if (isSkipped) return 'skipped';
    throw error;
  }
}

const known = { ann: { external_id: 'ann', email: 'ann@example.com', in_vip: true } };
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

const SERVICES: readonly (readonly [
  file: string,
  authorization: string,
  make: (has: Map<string, unknown>) => StandIn,
])[] = [
  ['rest-list.json', 'Bearer list-token', restList],
  ['hubspot-contacts.json', 'Bearer hubspot-token', hubspot],
  ['braze-users-track.json', 'Bearer braze-key', braze],
  ['customer-io.json', basic('site:key'), customerIo],
  ['slack.json', '', () => slack([])],
  ['salesforce-web-to-lead.json', '', () => webToLead([])],
  ['segment.json', basic('write-key:'), segment],
];

const LACKING: readonly (readonly [what: string, profile: JsonObject])[] = [
  ['no email', { first_name: 'Ann' }],
  ['an empty email', { email: '', first_name: '' }],
  ['a blank email', { email: ' ', first_name: null }],
  ['no profile', {}],
];

test.each(SERVICES.flatMap(([file, ...service]) => LACKING.map((lack) => [file, ...lack, ...service] as const)))(
  '%s, %s: nothing is written over what the service has',
  (file, _, profile, authorization, make) => {
    const has = new Map<string, unknown>(Object.entries(known));
    const service = make(has);
    for (const [event, user] of [
      ['enter', 'ann'],
      ['exit', 'ann'],
      ['exit', 'stranger'],
    ] as const) {
      const request = requestOf(file, event, user, profile);
      if (request === 'skipped') continue;
      const { method = 'POST', url, body, headers } = request;
      const type = headers[headers.indexOf('content-type') + 1];
      const got = {
        method,
        path: url === undefined ? '' : url.pathname + url.search,
        headers: { authorization, ...(body === null ? {} : { 'content-type': type }) },
        body: String(body ?? ''),
      };
      expect(got).toEqual({ ...got, body: expect.not.stringMatching(/:\s*(?:null|"\s*")/) });
      expect([200, 201, 204, 404, 429]).toContain(service(got));
    }
    // A list has nobody who has left it; the others still have the address of whom they knew, and nobody new.
    if (file === 'rest-list.json') expect([...has]).toEqual([]);
    else expect([...has].filter(([user]) => user === 'stranger')).toEqual([]);
    if (has.has('ann')) expect(has.get('ann')).toMatchObject({ email: 'ann@example.com' });
  },
);
