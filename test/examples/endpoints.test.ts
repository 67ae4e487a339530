import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { JobDefinitionInput } from '../../src/contract/export-job.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { configured } from '../webhook/an-authorization.ts';
import { labOfFile, VIP } from '../support/lab.ts';
import {
  braze,
  cloudEventsSink,
  customerIo,
  hubspot,
  restList,
  type RunningStandIn,
  segment,
  slack,
  type StandIn,
  startStandIn,
  webToLead,
} from './endpoint-stand-ins.ts';
import { afterFile } from '../webhook/a-server.ts';

const FOLDER = new URL('../../examples/endpoints/', import.meta.url);

/** What each service has, as its stand-in knows it. */
const members = new Map<string, unknown>([['gone', {}]]);
const contacts = new Map<string, unknown>();
const users = new Map<string, unknown>();
const people = new Map<string, unknown>();
const messages: string[] = [];
const leads: Record<string, string>[] = [];
const calls = new Map<string, unknown>();
const events = new Map<string, unknown>();

const STAND_INS: Readonly<Record<string, StandIn>> = {
  'rest-list.json': restList(members),
  'hubspot-contacts.json': hubspot(contacts),
  'braze-users-track.json': braze(users),
  'customer-io.json': customerIo(people),
  'slack.json': slack(messages),
  'salesforce-web-to-lead.json': webToLead(leads),
  'segment.json': segment(calls),
  'cloudevents.json': cloudEventsSink(events),
};

const crowd = Array.from({ length: 160 }, (_, i) => `person-${i}`);
const services = new Map<string, RunningStandIn>();

for (const [file, standIn] of Object.entries(STAND_INS)) services.set(file, await startStandIn(standIn));
afterFile(async () => {
  for (const service of services.values()) await service.close();
});
const originOf = (file: string): string[] => [services.get(file)?.origin ?? ''];
const lab = await labOfFile({
  content: {
    audiences: [{ ...VIP, members: [] }],
    profiles: {
      ann: { email: 'ann&bob@example.com', first_name: 'Ann', last_name: 'Lee "A"', company: 'Lee & <Sons>' },
      'a/b c': { first_name: 'Nobody' },
      wrong: { email: 'no email at all' },
      ...Object.fromEntries(crowd.map((user) => [user, { email: `${user}@example.com` }])),
    },
  },
  config: {
    authorizations: configured({
      list: { origins: originOf('rest-list.json'), bearer: 'list-token' },
      hubspot: { origins: originOf('hubspot-contacts.json'), bearer: 'hubspot-token' },
      braze: { origins: originOf('braze-users-track.json'), bearer: 'braze-key' },
      'customer-io': { origins: originOf('customer-io.json'), basic: { username: 'site', password: 'key' } },
      segment: { origins: originOf('segment.json'), basic: { username: 'write-key', password: '' } },
      mesh: { origins: originOf('cloudevents.json'), bearer: 'mesh-token' },
    }),
  },
});

/** The job of a file, which sends to the stand-in and is otherwise as it is. */
function jobOf(file: string): JobDefinitionInput {
  const job = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as JobDefinitionInput;
  const { origin } = new URL(job.webhookUrl.replaceAll(/\{\{.*?\}\}/g, 'x'));
  return { ...job, webhookUrl: job.webhookUrl.replace(origin, services.get(file)?.origin ?? '') };
}

/** Runs the job of a file until everything that was signalled has come to something; returns what its service got. */
async function run(file: string, triggers: readonly (readonly [EventTrigger['event'], string])[]) {
  const jobId = file.replace('.json', '');
  await lab.jobs.start(jobOf(file), { jobId });
  const named = triggers.map(([event, user]): EventTrigger => ({ event, user, audience: 'vip' }));
  await lab.jobs.push(jobId, named);
  const status = await lab.statusWhen(
    jobId,
    ({ received, delivered, filtered = 0, deadLetters, waiting }) =>
      received === triggers.length && delivered + filtered + deadLetters === received && waiting === 0,
  );
  await lab.jobs.stop(jobId);
  const { taken, refused } = services.get(file) ?? { taken: [], refused: [] };
  return { status, taken, refused };
}

test('each file has a stand-in, and each stand-in a file', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  expect(files.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
    Object.keys(STAND_INS).toSorted((a, b) => (a < b ? -1 : 1)),
  );
});

test('a list: PUT and DELETE, and a DELETE of somebody who is not on it counts as done', async () => {
  const { status, refused } = await run('rest-list.json', [
    ['enter', 'ann'],
    ['enter', 'a/b c'],
    ['exit', 'a/b c'],
    ['exit', 'gone'],
    ['exit', 'wrong'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 5, retried: 0, deadLetters: 0 });
  expect([...members]).toEqual([['ann', { email: 'ann&bob@example.com', name: 'Ann' }]]);
});

test('HubSpot: contacts by email, nobody without one, and what was not done is a dead letter', async () => {
  const { status, refused } = await run('hubspot-contacts.json', [
    ['enter', 'ann'],
    ['enter', 'a/b c'],
    ['enter', 'person-1'],
    ['exit', 'person-1'],
    ['enter', 'wrong'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 3, filtered: 1, deadLetters: 1 });
  expect([...contacts].toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
    ['ann&bob@example.com', { email: 'ann&bob@example.com', in_vip: 'true' }],
    ['person-1@example.com', { email: 'person-1@example.com', in_vip: 'false' }],
  ]);
});

test('Braze: at most 75 users a request, each in their order', async () => {
  const { status, taken, refused } = await run('braze-users-track.json', [
    ...crowd.map((user) => ['enter', user] as const),
    ['exit', 'person-159'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 161, deadLetters: 0 });
  expect(Math.max(...taken.map(({ body }) => body.split('external_id').length - 1))).toBe(75);
  expect(users.size).toBe(160);
  expect(users.get('person-0')).toEqual({ external_id: 'person-0', email: 'person-0@example.com', in_vip: true });
  expect(users.get('person-159')).toEqual({
    external_id: 'person-159',
    email: 'person-159@example.com',
    in_vip: false,
  });
});

test('Customer.io: attributes of a person, whatever the id', async () => {
  const { status, refused } = await run('customer-io.json', [
    ['enter', 'ann'],
    ['enter', 'a/b c'],
    ['exit', 'a/b c'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 3 });
  expect(Object.fromEntries(people)).toEqual({
    ann: { email: 'ann&bob@example.com', in_vip: true },
    'a/b c': { in_vip: false },
  });
});

test('Slack: a message for each who enters, about one a second', async () => {
  const { status, refused } = await run('slack.json', [
    ['enter', 'ann'],
    ['enter', 'a/b c'],
    ['enter', 'person-1'],
    ['exit', 'ann'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 2, filtered: 2 });
  expect(messages.toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
    'ann&amp;bob@example.com has entered Very important',
    'person-1@example.com has entered Very important',
  ]);
});

test('Salesforce: leads by the form, with what it requires', async () => {
  const { status, refused } = await run('salesforce-web-to-lead.json', [
    ['enter', 'ann'],
    ['enter', 'a/b c'],
    ['exit', 'ann'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 2, filtered: 1 });
  const oid = '00D000000000000';
  expect(leads).toContainEqual({
    oid,
    first_name: 'Ann',
    last_name: 'Lee "A"',
    company: 'Lee & <Sons>',
    email: 'ann&bob@example.com',
    lead_source: 'Very important',
  });
  expect(leads).toContainEqual({
    oid,
    first_name: 'Nobody',
    last_name: 'unknown',
    company: 'unknown',
    lead_source: 'Very important',
  });
});

test('Segment: a track call for each change, by an id that lets it drop repeats', async () => {
  const { status, taken, refused } = await run('segment.json', [
    ...crowd.slice(0, 80).map((user) => ['enter', user] as const),
    ['exit', 'person-0'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 81, deadLetters: 0 });
  expect(taken.length).toBeLessThan(20);
  expect(calls.size).toBe(81);
  expect([...calls.values()]).toContainEqual(
    expect.objectContaining({
      userId: 'person-0',
      event: 'Audience Exited',
      properties: { audience: 'vip', email: 'person-0@example.com' },
    }),
  );
});

test('a sink of CloudEvents: one for each change', async () => {
  const { status, refused } = await run('cloudevents.json', [
    ['enter', 'ann'],
    ['exit', 'ann'],
  ]);
  expect(refused).toEqual([]);
  expect(status).toMatchObject({ delivered: 2 });
  expect([...events.values()]).toMatchObject([
    { type: 'audience.enter', subject: 'ann', data: { id: 'ann' } },
    { type: 'audience.exit', subject: 'ann' },
  ]);
});
