import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { InvalidTrigger } from '../client/calls/errors.ts';
import { until } from '../client/push/push.ts';
import { parseTrigger, inputLines, UnreadableLine } from '../client/push/trigger-lines.ts';
import { counted } from '../domain/text.ts';
import { MOST_IN_REQUEST } from '../client/push/key-search.ts';
import { bodyOf, type JsonBody, type LinesBody, rejectDoubledKeys } from './bodies.ts';
import { Intake, type IntakeWorld, type Item, type TakenIn } from './intake.ts';
import { flagParameter, queryOf } from './operation.ts';
import { FAILURES, problem, Refused, refusalOf } from './refusal.ts';
import type { Answer, IdempotencyStore, RepeatKey } from './idempotency-store.ts';

/** Lines of a stream that go to jobs together, and their characters: more would take memory, fewer more signals. */
const LINES_AT_ONCE = 500;
const CHARACTERS_AT_ONCE = 1024 * 1024;
/** Its own keys, and those of each trigger of a list. */
const TRIGGER_DEPTH = 2;

export interface TriggerRoutesOptions extends IntakeWorld {
  readonly repeats: IdempotencyStore;
  /** Aborted when nothing more is accepted; its reason is then the answer. */
  readonly closing: AbortSignal;
  readonly onTakenIn: (counts: { accepted: number; refused: number; unmatched: number }) => void;
}

interface TriggersRoute {
  Params: { job?: string };
}

type TriggersRequest = FastifyRequest<TriggersRoute>;

/** Accepts triggers. An answer below 300 means that Temporal has them. */
export function triggerRoutes(app: FastifyInstance, options: TriggerRoutesOptions): void {
  const take = async (request: TriggersRequest, reply: FastifyReply): Promise<unknown> => {
    const { job } = request.params;
    const body = bodyOf(request);
    const { strict } = queryOf(triggersQuery, request);
    if (body === undefined)
      throw new Refused(
        400,
        'NoBody',
        'Send a trigger, a list of them, or NDJSON: {"audience":"vip","user":"707…","event":"enter"}.',
      );
    const answer = await options.repeats.once(
      repeatKey(request),
      'text' in body ? body.text : undefined,
      async (atOf) => {
        const intake = new Intake(options, request.caller, job, atOf);
        const answer = await taken(intake, body, strict, options.closing);
        const { accepted, unmatched = 0, refusedCount } = intake.takenIn;
        options.onTakenIn({ accepted, unmatched, refused: refusedCount });
        return answer;
      },
    );
    if (answer.isReplayed) reply.header('idempotency-replayed', 'true');
    return reply.status(answer.status).headers(answer.headers).send(answer.body);
  };
  for (const url of ['/v1/triggers', '/v1/jobs/:job/triggers'])
    app.post<TriggersRoute>(
      url,
      { config: { right: 'trigger', otherBodies: NDJSON }, schema: described(url.includes(':job')) },
      take,
    );
}

const NDJSON = {
  'application/x-ndjson': { type: 'string', description: 'A trigger a line; any number of lines.' },
};
const triggersQuery = z.object({
  strict: flagParameter.describe('1: nothing is sent when any of it is wrong.'),
});
const trigger = z.object({
  event: z.enum(['enter', 'exit']),
  audience: z.string().describe('Slug or id.'),
  user: z.string().describe('The person, 1 to 255 characters.'),
  at: z.string().optional().describe('RFC 3339, with up to nine digits; default: now.'),
  profile: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('The fields of the person; default: from the audience source.'),
});
const counts = z.looseObject({
  accepted: z.number().int(),
  refusedCount: z.number().int(),
  refused: z.array(z.object({ index: z.number().int(), reason: z.string() })).describe('The first hundred.'),
});

/** For the documentation. */
function described(isOfJob: boolean): object {
  return {
    tags: ['Triggers'],
    summary: isOfJob
      ? 'Send triggers to a job'
      : 'Send triggers to every running job that subscribes to their audience',
    description: 'Needs the right `trigger`. JSON, or NDJSON (`application/x-ndjson`) with one trigger a line.',
    ...(isOfJob ? { params: z.object({ job: z.string() }) } : {}),
    querystring: triggersQuery,
    headers: z.object({ 'idempotency-key': z.string().optional().describe('Makes a repeat harmless.') }),
    body: z.union([trigger, z.array(trigger)]),
    response: {
      202: counts.describe('Temporal has all of them.'),
      207: counts.describe('Temporal has some of them; those that cannot be sent are named.'),
      ...FAILURES,
    },
  };
}

function repeatKey({ headers, caller, url }: TriggersRequest): RepeatKey | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key))
    throw new Refused(
      422,
      'InvalidIdempotencyKey',
      'An Idempotency-Key must have 1 to 255 characters of ASCII, without spaces.',
    );
  return { caller: caller.name ?? '', request: `${url}\n${key}` };
}

/** Accepts a whole body. The answer lists what was accepted, even if that ended early. */
async function taken(
  intake: Intake,
  body: JsonBody | LinesBody,
  strict: boolean,
  closing: AbortSignal,
): Promise<Answer> {
  try {
    if ('text' in body) await intake.take(itemsOf(body), strict);
    else if (strict)
      throw new Refused(
        422,
        'InvalidRequest',
        'strict is for a JSON body: of a stream, what is right has gone when something wrong comes.',
      );
    else await takeLines(intake, body.chunks, closing);
  } catch (error) {
    const { takenIn } = intake;
    const refusal = refusalOf(error);
    if (refusal.code === 'Unexpected') throw error;
    return problem(refusal, { ...takenIn });
  }
  return answerTo(intake.takenIn);
}

function answerTo(takenIn: TakenIn): Answer {
  const { accepted, unmatched = 0, refusedCount } = takenIn;
  // Unmatched triggers may match a job when the request is repeated.
  const answer = { headers: {}, body: takenIn, isProvisional: unmatched > 0 };
  if (refusedCount === 0) return { status: 202, ...answer };
  if (accepted > 0) return { status: 207, ...answer };
  const others = unmatched === 0 ? '' : ' No running job subscribes to the audiences of the others.';
  const detail = `Nothing was accepted: ${counted(refusedCount, 'trigger')} cannot be sent. "refused" says why.${others}`;
  return problem({ status: 422, code: 'InvalidTrigger', detail }, { ...takenIn });
}

function itemsOf(body: JsonBody): Item[] {
  const value = rejectDoubledKeys(body, TRIGGER_DEPTH);
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > MOST_IN_REQUEST)
    throw new Refused(
      413,
      'BodyTooLarge',
      `A list may have at most ${MOST_IN_REQUEST} triggers. Send NDJSON (application/x-ndjson), of any length.`,
    );
  return list.map((raw) => ({ raw }));
}

/**
 * Accepts a stream. Lines that arrive while earlier ones are being signalled go to the jobs together. A slow stream is therefore accepted line by
 * line, and a fast one in parts.
 * @throws the error that ends it early; by then nothing is being accepted any more.
 */
async function takeLines(intake: Intake, chunks: AsyncIterable<Uint8Array>, closing: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const ended = AbortSignal.any([closing, failed.signal]);
  let items: Item[] = [];
  let characters = 0;
  let taking: Promise<void> | undefined;
  const take = async (): Promise<void> => {
    try {
      // First lets the rest of its chunk be read. The loop then takes the lines that arrived in between. A chunk may have very many lines: without
      // this pause, other requests would have to wait.
      await setImmediate();
      while (items.length > 0 && !ended.aborted) {
        const part = items;
        items = [];
        characters = 0;
        await intake.take(part);
      }
    } catch (error) {
      failed.abort(error);
    }
    taking = undefined;
  };
  try {
    for await (const line of inputLines(until(ended, chunks))) {
      items.push(line instanceof UnreadableLine ? { reason: line.reason } : itemOf(line));
      characters += line instanceof UnreadableLine ? 0 : line.length;
      taking ??= take();
      if (items.length >= LINES_AT_ONCE || characters >= CHARACTERS_AT_ONCE) await taking;
    }
  } finally {
    await taking;
  }
  failed.signal.throwIfAborted();
  if (items.length > 0) ended.throwIfAborted();
}

function itemOf(line: string): Item {
  if (line.trim() === '') return { isBlank: true };
  try {
    return { raw: parseTrigger(line) };
  } catch (error) {
    if (error instanceof InvalidTrigger) return { reason: error.reason };
    throw error;
  }
}
