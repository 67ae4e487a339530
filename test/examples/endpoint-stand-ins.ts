import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HTTP } from 'cloudevents';

/** A request as a service gets it. */
export interface Got {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What a service makes of a request: the status of its answer. It throws what its documentation forbids. */
export type StandIn = (got: Got) => number;

/** A server on this machine in the place of a service. */
export interface RunningStandIn {
  readonly origin: string;
  /** What it took, in order. */
  readonly taken: readonly Got[];
  /** What it refused, and why. */
  readonly refused: readonly string[];
  close(): Promise<void>;
}

export async function startStandIn(answer: StandIn): Promise<RunningStandIn> {
  const taken: Got[] = [];
  const refused: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const got = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
      try {
        response.statusCode = answer(got);
        if (response.statusCode < 300) taken.push(got);
      } catch (error) {
        refused.push(`${method} ${url} ${got.body}: ${String(error)}`);
        response.statusCode = 400;
      }
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // It listens on a port.
  return {
    origin: `http://127.0.0.1:${port}`,
    taken,
    refused,
    close: async () => await new Promise((resolve) => server.close(() => resolve())),
  };
}

function demand(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`Not as documented: ${what}`);
}

function jsonIn({ headers, body }: Got): Record<string, unknown> {
  demand(headers['content-type'] === 'application/json', 'content-type');
  return JSON.parse(body) as Record<string, unknown>; // Its callers check it.
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** An ordinary list: PUT puts somebody on it, DELETE takes them off, and answers 404 when they are not on it. */
export function restList(members: Map<string, unknown>): StandIn {
  return (got) => {
    demand(got.headers.authorization === 'Bearer list-token', 'authorization');
    const [, id = ''] = /^\/lists\/7\/members\/([^/?]+)$/.exec(got.path) ?? [];
    demand(id !== '', 'path');
    if (got.method === 'DELETE') {
      demand(got.body === '' && got.headers['content-type'] === undefined, 'a DELETE has no body');
      return members.delete(decodeURIComponent(id)) ? 204 : 404;
    }
    demand(got.method === 'PUT', 'method');
    const member = jsonIn(got);
    demand(Object.values(member).every(isText), 'each value is a text that is not empty');
    members.set(decodeURIComponent(id), member);
    return 200;
  };
}

/** developers.hubspot.com, "Upsert contacts": at most 100 inputs, each of a contact by a property that is unique; one that is no email: 207. */
export function hubspot(contacts: Map<string, unknown>): StandIn {
  return (got) => {
    demand(got.method === 'POST' && got.path === '/crm/objects/2026-03/contacts/batch/upsert', 'method and path');
    demand(got.headers.authorization === 'Bearer hubspot-token', 'authorization');
    const { inputs } = jsonIn(got);
    if (!Array.isArray(inputs) || inputs.length === 0 || inputs.length > 100) throw new Error('inputs');
    const ids = inputs.map((input: { id?: unknown; idProperty?: unknown; properties?: Record<string, unknown> }) => {
      demand(isText(input.id) && input.idProperty === 'email', 'id and idProperty');
      const values = Object.entries(input.properties ?? {});
      demand(
        // An empty one would clear the property.
        values.every(([name, value]) => /^[a-z][a-z0-9_]*$/.test(name) && isText(value)),
        'properties',
      );
      return [String(input.id), input.properties] as const;
    });
    for (const [id, properties] of ids) if (id.includes('@')) contacts.set(id, properties);
    return ids.every(([id]) => id.includes('@')) ? 200 : 207;
  };
}

/** What somebody has after an update: null removes what was there, and what is not named stays. A name that begins with `_` is an instruction. */
function updated(before: unknown, update: Record<string, unknown>): Record<string, unknown> {
  const all = Object.entries({ ...(before as object | undefined), ...update });
  return Object.fromEntries(all.filter(([name, value]) => value !== null && !name.startsWith('_')));
}

/**
 * braze.com, "/users/track": at most 75 objects, each with something that identifies a user. "User attributes object": null removes an attribute;
 * with `_update_existing_only`, nobody is created.
 */
export function braze(users: Map<string, unknown>): StandIn {
  return (got) => {
    demand(got.method === 'POST' && got.path === '/users/track', 'method and path');
    demand(got.headers.authorization === 'Bearer braze-key', 'authorization');
    const { attributes } = jsonIn(got);
    if (!Array.isArray(attributes) || attributes.length === 0 || attributes.length > 75) throw new Error('attributes');
    for (const one of attributes as Record<string, unknown>[]) {
      const { external_id: id, _update_existing_only: isUpdate } = one;
      demand(isText(id), 'external_id');
      if (isUpdate !== true || users.has(String(id))) users.set(String(id), updated(users.get(String(id)), one));
    }
    return 201;
  };
}

/** docs.customer.io, Track API, "Add or update a customer": by Basic, the attributes of one person; with `_update`, nobody is created. */
export function customerIo(people: Map<string, unknown>): StandIn {
  return (got) => {
    const [, id = ''] = /^\/api\/v1\/customers\/([^/?]+)$/.exec(got.path) ?? [];
    demand(got.method === 'PUT' && id !== '', 'method and path');
    demand(got.headers.authorization === `Basic ${Buffer.from('site:key').toString('base64')}`, 'authorization');
    const person = decodeURIComponent(id);
    const update = jsonIn(got);
    demand(update['email'] === undefined || isText(update['email']), 'an address that is one');
    if (update['_update'] !== true || people.has(person)) people.set(person, updated(people.get(person), update));
    return 200;
  };
}

/** docs.slack.dev, "Incoming webhooks": a text, in which `&`, `<` and `>` stand as entities; about one message a second. */
export function slack(messages: string[]): StandIn {
  let lastAtMs = 0;
  return (got) => {
    demand(got.method === 'POST' && got.path === '/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX', 'path');
    const { text } = jsonIn(got);
    if (!isText(text)) throw new Error('no_text');
    demand(!/[<>]|&(?!amp;|lt;|gt;)/.test(text), 'entities');
    const nowMs = Date.now();
    const isTooSoon = nowMs - lastAtMs < 400;
    lastAtMs = nowMs;
    if (isTooSoon) return 429;
    messages.push(text);
    return 200;
  };
}

/** Salesforce, Web-to-Lead: a form with `oid`, `last_name` and `company`. The real one answers 200 to anything. */
export function webToLead(leads: Record<string, string>[]): StandIn {
  return (got) => {
    demand(got.method === 'POST' && got.path === '/servlet/servlet.WebToLead?encoding=UTF-8', 'method and path');
    demand(got.headers['content-type'] === 'application/x-www-form-urlencoded', 'content-type');
    const lead = Object.fromEntries(new URLSearchParams(got.body));
    demand(
      ['oid', 'last_name', 'company'].every((name) => isText(lead[name])),
      'required fields',
    );
    demand(Object.values(lead).every(isText), 'no field is empty');
    leads.push(lead);
    return 200;
  };
}

/** Segment, "HTTP API source": a batch of at most 500 KB, each call at most 32 KB, with the write key as the user name of Basic. */
export function segment(calls: Map<string, unknown>): StandIn {
  return (got) => {
    demand(got.method === 'POST' && got.path === '/v1/batch', 'method and path');
    demand(got.headers.authorization === `Basic ${Buffer.from('write-key:').toString('base64')}`, 'authorization');
    demand(Buffer.byteLength(got.body) <= 500 * 1024, 'the size of a batch');
    const { batch } = jsonIn(got);
    if (!Array.isArray(batch) || batch.length === 0) throw new Error('batch');
    for (const call of batch as Record<string, unknown>[]) {
      demand(call['type'] === 'track' && isText(call['userId']) && isText(call['event']), 'a track call');
      demand(isText(call['messageId']) && !Number.isNaN(Date.parse(String(call['timestamp']))), 'id and time');
      demand(JSON.stringify(call).length <= 32 * 1024, 'the size of a call');
      demand(Object.values(call['properties'] ?? {}).every(isText), 'no property is overwritten by nothing');
      calls.set(String(call['messageId']), call);
    }
    return 200;
  };
}

/** CloudEvents 1.0, structured mode, by the SDK of CloudEvents itself. */
export function cloudEventsSink(events: Map<string, unknown>): StandIn {
  return ({ headers, body }) => {
    demand(headers.authorization === 'Bearer mesh-token', 'authorization');
    const received = HTTP.toEvent({ headers, body });
    if (Array.isArray(received)) throw new Error('one event');
    demand(new Set(['audience.enter', 'audience.exit']).has(received.type), 'type');
    const { id, type, subject, data } = received;
    events.set(id, { type, subject, data });
    return 204;
  };
}
