import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { isLoopback, isProxied } from '../../http/origin-check.ts';
import { type Arrival, type Change, parametersIn, type Reading } from './arrival.ts';
import { ExpressionsBusy } from './expressions.ts';
import { type Ingest, mapped, readArrival, urlProblem } from './ingest.ts';
import { headProblem, isProofNeeded, proofKinds, proofProblem } from './signature.ts';
import { type Caller, rejectForeignOrigin } from '../../api/callers.ts';
import { bytesOf, jsonBody, packedBytesOf, textOf, rejectDoubledKeys, unpackedOf } from '../../api/bodies.ts';
import { inTime, serve } from '../../api/operation.ts';
import type { IngestRecords, Ingests } from './senders.ts';
import type { Usage } from '../../api/limits.ts';
import { Intake, type IntakeWorld, type Item, type TakenIn } from '../../api/intake.ts';
import { FAILURES, ofAllJobs, problem, Refused, refusalOf } from '../../api/refusal.ts';
import type { Answer, IdempotencyStore } from '../../api/idempotency-store.ts';

/** A sender gets its answer within this many ms of the end of its request. Many senders wait no longer than three to five seconds. */
const LONGEST_MS = 2_000;
/**
 * Reading a body may take this many ms; a slower one is refused as a whole. The rest of the time is for Temporal. Only an expression that has its turn
 * by then may take longer, to say whether it fails.
 */
const READING_MS = 1_500;
/** The rest of the time, if an expression took longer: then there is nothing left for Temporal. */
const LEAST_MS = LONGEST_MS - READING_MS;

/** A caller who has proved to be the sender: their changes go to every job that subscribes. */
const SENDER: Caller = { may: () => false, mayJob: () => true, mayAudience: () => true };

/** The same, for an ingest that may serve some jobs only. */
function senderOf({ jobs }: Ingest, usage?: Usage): Caller {
  return { ...SENDER, ...(usage && { usage }), ...(jobs && { needs: jobs, mayJob: (jobId) => jobs.includes(jobId) }) };
}

/** Lets a sender in that has proved who it is. @throws Refused when it sends too much */
function letIn(request: FastifyRequest, ingests: Ingests): void {
  const { ingest } = request.arriving;
  request.caller = senderOf(ingest, ingests.usageOf(ingest));
  request.caller.usage?.addRequest(Date.now());
}

export interface IngestRoutesOptions {
  readonly intake: IntakeWorld;
  readonly ingests: Ingests;
  /** A separate store, since a sender's message ids are not the keys of an API caller. */
  readonly repeats: IdempotencyStore;
  readonly records: IngestRecords;
}

interface IngestRoute {
  Params: { ingest: string };
  Body: Buffer | null;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Its ingest, as it was configured when the request began, and its parts besides the body. */
    arriving: { readonly ingest: Ingest } & Pick<Arrival, 'headers' | 'query'>;
  }
}

/** Accepts the requests that senders such as customer data platforms send anyway. An answer below 300 means that Temporal has every usable change. */
export function ingestRoutes(app: FastifyInstance, options: IngestRoutesOptions): void {
  serve(app, {
    method: 'GET',
    url: '/v1/ingests',
    right: 'read',
    tag: 'Incoming changes',
    summary: 'All ingests, with what each has received since this process started',
    answers: {
      200: z.object({
        since: z
          .string()
          .describe('RFC 3339: when this process began. Others that serve the API count for themselves.'),
        ingests: z.array(z.looseObject({ name: z.string(), path: z.string() })),
      }),
    },
    run: async ({ caller }) => {
      if (caller.jobs !== undefined) throw ofAllJobs('ingests send to');
      return await Promise.resolve({
        since: options.ingests.since,
        ingests: options.ingests.all().map(({ name, preset, proof }) => ({
          name,
          ...(preset === undefined ? {} : { preset }),
          path: `/v1/ingest/${encodeURIComponent(name)}`,
          proof: proofKinds(proof),
          ...options.records.of(name),
        })),
      });
    },
  });
  void app.register(async (scope) => {
    scope.decorateRequest('arriving', undefined as never);
    scope.removeAllContentTypeParsers();
    // Bodies of any content type. If a sender signs, the bytes stay as they came: the signature covers them, and nothing is unpacked for an unproved
    // caller.
    scope.addContentTypeParser('*', async (request: FastifyRequest, payload: Readable) =>
      request.arriving.ingest.proof.signature === undefined
        ? bytesOf(request, payload)
        : packedBytesOf(request, payload),
    );
    scope.post<IngestRoute>(
      '/v1/ingest/:ingest',
      {
        config: { guardsItself: true },
        schema: DESCRIBED,
        onRequest: (request, _reply, done) => {
          judgeHead(request, options);
          done();
        },
      },
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

/** Refuses before any of the body is read. @throws Refused */
function judgeHead(request: FastifyRequest<IngestRoute>, { ingests, records }: IngestRoutesOptions): void {
  const ingest = ingests.named(request.params.ingest);
  if (ingest === undefined)
    throw new Refused(404, 'NoSuchIngest', 'The configuration has no ingest of that name. See docs/ingests.md.');
  const { query, doubled } = parametersIn(request.url.split('?')[1] ?? '');
  const named = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
  const headers = Object.fromEntries(named) as Arrival['headers'];
  request.arriving = { ingest, headers, query };
  proving(ingest, records, () => {
    // It does not say which, since the operators' pages show the last refusal, and anybody could write on them.
    if (doubled !== undefined) throw new Refused(422, 'InvalidRequest', 'The URL has a parameter twice.');
    if (!isProofNeeded(ingest.proof)) refuseRemoteCallers(request);
    const unproved = urlProblem(ingest, query);
    if (unproved !== undefined) throw new Refused(422, 'InvalidRequest', unproved);
    const wrong = headProblem(ingest.proof, request.arriving, Date.now());
    if (wrong !== undefined) throw new Refused(401, 'NotTheSender', wrong);
  });
  if (ingest.proof.signature === undefined) letIn(request, ingests);
}

/** Records why a caller could not prove who they are. */
function proving(ingest: Ingest, records: IngestRecords, prove: () => void): void {
  try {
    prove();
  } catch (error) {
    records.ingested(ingest.name, 'unproved');
    records.refused(ingest.name, refusalOf(error).detail);
    throw error;
  }
}

async function served(
  request: FastifyRequest<IngestRoute>,
  reply: FastifyReply,
  options: IngestRoutesOptions,
): Promise<unknown> {
  const { records } = options;
  const { ingest, headers, query } = request.arriving;
  let body = request.body ?? Buffer.alloc(0);
  if (ingest.proof.signature !== undefined) {
    proving(ingest, records, () => {
      const wrong = proofProblem(ingest.proof, { headers, query, body }, Date.now());
      if (wrong !== undefined) throw new Refused(401, 'NotTheSender', wrong);
    });
    letIn(request, options.ingests);
    body = await unpackedOf(request, body);
  }
  const shown = { headers, query, body };
  try {
    const answer = await taken(ingest, shown, reply, options);
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

/** Refuses callers who may not use an ingest without a secret. @throws Refused */
function refuseRemoteCallers(request: FastifyRequest<IngestRoute>): void {
  if (isProxied(request.raw) || !isLoopback((request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')))
    throw new Refused(
      403,
      'IngestIsOpen',
      'This ingest is configured without a secret, so only this machine may use it, and nothing that a proxy passes on. Give it a signature, basic, header or parameter.',
    );
  rejectForeignOrigin(request);
}

async function taken(
  ingest: Ingest,
  shown: Shown,
  reply: FastifyReply,
  options: IngestRoutesOptions,
): Promise<Answer & { readonly isReplayed: boolean }> {
  const { repeats, records } = options;
  const beganMs = performance.now();
  const unwanted = new AbortController();
  const leave = (): void => unwanted.abort();
  const timer = setTimeout(leave, READING_MS);
  reply.raw.once('close', leave);
  const reading = await readingOf(ingest, shown, options, unwanted.signal).finally(() => {
    clearTimeout(timer);
    reply.raw.off('close', leave);
  });
  // Changes that an expression made too late would come to Temporal too late.
  if (unwanted.signal.aborted && reading.changes.some((change) => !('reason' in change))) throw new ExpressionsBusy();
  options.ingests.countRequest(ingest.name, reading);
  const { messageId } = reading;
  const key = messageId === undefined ? undefined : { caller: ingest.name, request: messageId };
  const answering = repeats.once(key, repeatKey(ingest, reading), async (atOf) => {
    const intake = new Intake(options.intake, senderOf(ingest), undefined, atOf);
    const isBad = await takenBy(ingest, reading, intake, options);
    records.ingested(ingest.name, isBad ? 'refused' : 'taken');
    return answerTo(ingest, reading, intake.takenIn, isBad);
  });
  const answer = await inTime(Math.max(LEAST_MS, LONGEST_MS - (performance.now() - beganMs)), answering);
  if (answer.isReplayed) records.ingested(ingest.name, 'repeated');
  return answer;
}

/** The content by which a repeat is recognised: its changes, not its body, since some bodies contain times of sending. */
function repeatKey(ingest: Ingest, { changes }: Reading): string {
  return JSON.stringify(
    changes.map((change) => {
      if ('reason' in change) return change.reason;
      const { user, event, audiences, at } = mapped(ingest, change);
      return [user, event, audiences, at ?? null];
    }),
  );
}

/** Reads the changes of a request. An unreadable body counts as one bad change. */
async function readingOf(
  ingest: Ingest,
  shown: Shown,
  { ingests }: IngestRoutesOptions,
  unwanted: AbortSignal,
): Promise<Reading> {
  let arrival: Arrival;
  try {
    arrival = { ...shown, body: rejectDoubledKeys(jsonBody(textOf(shown.body))) };
  } catch (error) {
    const { code, detail } = refusalOf(error);
    // A key of somebody else's data may be an address.
    const reason = code === 'KeyTwice' ? 'An object of the body has a key twice.' : detail;
    return { changes: [{ reason }], ignored: 0 };
  }
  return await readArrival(ingest, arrival, ingests.thread, unwanted);
}

/** Whether there were changes, and all of them were bad. */
async function takenBy(
  ingest: Ingest,
  { changes, ignored }: Reading,
  intake: Intake,
  { intake: { directory }, records }: IngestRoutesOptions,
): Promise<boolean> {
  const itemOf = async (change: Change): Promise<Item> => {
    const { audiences, ...rest } = mapped(ingest, change);
    const [only, ...others] = audiences;
    if (others.length > 0)
      for (const audience of audiences)
        if ((await directory.subscribers(audience)).some((jobId) => ingest.jobs?.includes(jobId) ?? true))
          return { raw: { ...rest, audience } };
    return { raw: { ...rest, audience: only } };
  };
  const items: Item[] = [];
  for (const change of changes) items.push('reason' in change ? change : await itemOf(change));
  try {
    await intake.take(items);
  } finally {
    const { accepted, unmatched = 0, refusedCount, refused } = intake.takenIn;
    const [first] = refused;
    if (first !== undefined) records.refused(ingest.name, first.reason);
    const counts = { accepted, unmatched, refused: refusedCount, ignored };
    records.takenInBy(ingest.name, counts, { audiences: [...intake.unmatchedAudiences], reason: first?.reason });
  }
  const { refusedCount } = intake.takenIn;
  return refusedCount > 0 && refusedCount === changes.length;
}

function answerTo(ingest: Ingest, reading: Reading, takenIn: TakenIn, isBad: boolean): Answer {
  const { ignored, answer = {} } = reading;
  const body = { ...answer, ...takenIn, ignored };
  // A job may subscribe by the time it is repeated.
  const isProvisional = (takenIn.unmatched ?? 0) > 0;
  if (!isBad) return { status: takenIn.refusedCount > 0 ? 207 : 202, headers: {}, body, isProvisional };
  if (ingest.badDataStatus === 200) return { status: 200, headers: {}, body };
  const [first] = takenIn.refused;
  const detail = `Nothing was accepted (${first?.reason ?? 'there is no change in it'}). Do not send it again as it is.`;
  const { status, headers, ...refusal } = problem({ status: 422, code: 'BadData', detail }, { ...takenIn, ignored });
  return { status, headers, body: refusal.body };
}
