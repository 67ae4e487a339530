import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Arrival, type Change, doubledText, parametersIn, type Reading } from '../ingests/arrival.ts';
import { ExpressionsBusy } from '../ingests/expressions.ts';
import { type Ingest, mapped, readArrival } from '../ingests/ingest.ts';
import { isProofNeeded, proofProblem } from '../ingests/signature.ts';
import type { Caller } from './api-keys.ts';
import { bytesOf, jsonBody, textOf, unlessDoubled } from './bodies.ts';
import { inTime } from './in-time.ts';
import type { IngestRecords } from './ingest-records.ts';
import type { Ingests } from './ingests.ts';
import { Intake, type IntakeWorld, type Item, type TakenIn } from './intake.ts';
import { FAILURES, problem, Refused, refusalOf } from './refusal.ts';
import type { Answer, Repeats } from './repeats.ts';
import { isLoopback, isPassedOn, refuseStrangers } from './strangers.ts';

/** A sender is answered within this many ms of the end of its request: many wait no longer than three to five seconds. */
const LONGEST_MS = 2_000;

/** Whoever has proved to be the sender: what they tell goes to every job that listens. */
const SENDER: Caller = { may: () => false, mayJob: () => true, mayAudience: () => true };

export interface IngestRoutesOptions {
  readonly intake: IntakeWorld;
  readonly ingests: Ingests;
  /** Its own, since a sender's message ids are not the keys of a caller of the API. */
  readonly repeats: Repeats;
  readonly records: IngestRecords;
}

interface IngestRoute {
  Params: { ingest: string };
  Body: Buffer | undefined;
}

/** The way in for what senders such as customer data platforms send anyway. An answer below 300 means that Temporal has what can be had of it. */
export function ingestRoutes(app: FastifyInstance, options: IngestRoutesOptions): void {
  // Bodies as they came, since their bytes are signed, whatever they say that they are.
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', async (request: FastifyRequest, payload: Readable) => bytesOf(request, payload));
    scope.post<IngestRoute>(
      '/v1/ingest/:ingest',
      { config: { guardsItself: true }, schema: DESCRIBED },
      async (request, reply) => await served(request, reply, options),
    );
    await Promise.resolve();
  });
}

const DESCRIBED = {
  tags: ['Triggers'],
  summary: 'Send what another system sends: an ingest of the configuration reads it',
  description: 'Needs no key, but what the configuration of the ingest asks for (docs/ingests.md).',
  security: [],
  params: z.object({ ingest: z.string() }),
  body: z.unknown().describe('Whatever its sender sends.'),
  response: {
    202: z.looseObject({ accepted: z.number().int() }).describe('Temporal has all that tells of a change.'),
    ...FAILURES,
  },
};

async function served(
  request: FastifyRequest<IngestRoute>,
  reply: FastifyReply,
  options: IngestRoutesOptions,
): Promise<unknown> {
  const ingest = options.ingests.named(request.params.ingest);
  if (ingest === undefined)
    throw new Refused(
      404,
      'NoSuchIngest',
      'The configuration has no ingest of that name: "ingests" (docs/ingests.md).',
    );
  const { records } = options;
  const { query, doubled } = parametersIn(request.url.split('?')[1] ?? '');
  const shown = {
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    query,
    body: request.body ?? Buffer.alloc(0),
  };
  try {
    if (doubled !== undefined) throw new Refused(422, 'InvalidRequest', doubledText(doubled));
    checkSender(ingest, request, shown);
  } catch (error) {
    records.ingested(ingest.name, 'unproved');
    records.refused(ingest.name, refusalOf(error).detail);
    throw error;
  }
  try {
    const answer = await inTime(LONGEST_MS, taken(ingest, shown, options));
    if (answer.isReplayed) reply.header('idempotency-replayed', 'true');
    return await reply.status(answer.status).headers(answer.headers).send(answer.body);
  } catch (error) {
    records.ingested(ingest.name, 'unavailable');
    records.refused(ingest.name, error instanceof ExpressionsBusy ? error.message : refusalOf(error).detail);
    if (error instanceof ExpressionsBusy)
      throw new Refused(503, 'ExpressionsBusy', error.message, { retryAfterS: RETRY_S });
    throw error;
  }
}

const RETRY_S = 5;

type Shown = Pick<Arrival, 'headers' | 'query'> & { readonly body: Buffer };

/** @throws Refused */
function checkSender(ingest: Ingest, request: FastifyRequest<IngestRoute>, shown: Shown): void {
  if (!isProofNeeded(ingest.proof)) {
    if (isPassedOn(request) || !isLoopback((request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')))
      throw new Refused(
        403,
        'IngestIsOpen',
        'This ingest is configured without a secret, so only this machine may use it, and nothing that a proxy passes on. Give it a signature, basic, header or parameter.',
      );
    refuseStrangers(request);
    return;
  }
  const wrong = proofProblem(ingest.proof, shown, Date.now());
  if (wrong !== undefined) throw new Refused(401, 'NotTheSender', wrong);
}

async function taken(
  ingest: Ingest,
  shown: Shown,
  options: IngestRoutesOptions,
): Promise<Answer & { readonly isReplayed: boolean }> {
  const { repeats, records } = options;
  const reading = await readingOf(ingest, shown, options);
  options.ingests.heard(ingest.name, reading);
  const { messageId } = reading;
  const key = messageId === undefined ? undefined : `${ingest.name}\n${messageId}`;
  const answer = await repeats.once(key, whatIsTold(ingest, reading), async (atOf) => {
    const intake = new Intake(options.intake, SENDER, undefined, atOf);
    const isBad = await takenBy(ingest, reading, intake, options);
    records.ingested(ingest.name, isBad ? 'refused' : 'taken');
    return answerTo(ingest, reading, intake.takenIn, isBad);
  });
  if (answer.isReplayed) records.ingested(ingest.name, 'repeated');
  return answer;
}

/** What a repeat has in common with the first: what it tells, and not its body, since times of sending are in some. */
function whatIsTold(ingest: Ingest, { changes }: Reading): string {
  return JSON.stringify(
    changes.map((change) => {
      if ('reason' in change) return change.reason;
      const { user, event, audiences, at } = mapped(ingest, change);
      return [user, event, audiences, at ?? null];
    }),
  );
}

/** What a request says; one that cannot be read is something bad that it brings. */
async function readingOf(ingest: Ingest, shown: Shown, { ingests }: IngestRoutesOptions): Promise<Reading> {
  let arrival: Arrival;
  try {
    arrival = { ...shown, body: unlessDoubled(jsonBody(textOf(shown.body))) };
  } catch (error) {
    return { changes: [{ reason: refusalOf(error).detail.replace(/\.$/, '') }], ignored: 0 };
  }
  return await readArrival(ingest, arrival, ingests.thread);
}

/** Whether there was something, and all of it was bad. */
async function takenBy(
  ingest: Ingest,
  { changes, ignored }: Reading,
  intake: Intake,
  { intake: { listeners }, records }: IngestRoutesOptions,
): Promise<boolean> {
  const itemOf = async (change: Change): Promise<Item> => {
    const { audiences, ...rest } = mapped(ingest, change);
    const [only, ...others] = audiences;
    if (others.length > 0)
      for (const audience of audiences)
        if ((await listeners.of(audience)).length > 0) return { raw: { ...rest, audience } };
    return { raw: { ...rest, audience: only } };
  };
  const items: Item[] = [];
  for (const change of changes) items.push('reason' in change ? change : await itemOf(change));
  try {
    await intake.take(items);
  } finally {
    const { accepted, unheard = 0, refusedCount, refused } = intake.takenIn;
    const [first] = refused;
    if (first !== undefined) records.refused(ingest.name, first.reason);
    records.takenInBy(ingest.name, { accepted, unheard, refused: refusedCount, ignored });
  }
  const { refusedCount } = intake.takenIn;
  return refusedCount > 0 && refusedCount === changes.length;
}

function answerTo(ingest: Ingest, reading: Reading, takenIn: TakenIn, isBad: boolean): Answer {
  const { ignored, answer = {} } = reading;
  const body = { ...answer, ...takenIn, ignored };
  // Somebody may listen by the time that it is repeated.
  const isProvisional = (takenIn.unheard ?? 0) > 0;
  if (!isBad) return { status: takenIn.refusedCount > 0 ? 207 : 202, headers: {}, body, isProvisional };
  if (ingest.badDataStatus === 200) return { status: 200, headers: {}, body };
  const [first] = takenIn.refused;
  const detail = `Nothing was accepted: ${first?.reason ?? 'there is no change in it'}. Do not send it again as it is.`;
  const { status, headers, body: said } = problem({ status: 422, code: 'BadData', detail }, { ...takenIn, ignored });
  return { status, headers, body: said };
}
