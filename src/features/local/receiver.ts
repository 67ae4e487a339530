import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TriggerEvent } from '../../contract/trigger.ts';

/** The membership change in a body of either payload format. */
export interface ReceivedMessage {
  readonly user: string;
  /** 32-hex id of the audience. */
  readonly audience: string;
  readonly slug: string;
  readonly event: TriggerEvent;
  /** When it happened, as spelt in the body. */
  readonly at: string;
}

/** One trigger of a batch. */
export interface ReceivedElement {
  /** As it says itself; undefined when it says none. */
  readonly deliveryId: string | undefined;
  /** Undefined when it is neither payload format. */
  readonly message: ReceivedMessage | undefined;
}

/** One request that arrived, from its last byte on. */
export interface ReceivedRequest {
  /** From 1, in the order in which requests were complete. */
  readonly number: number;
  /** Header `webhook-id`. */
  readonly deliveryId: string | undefined;
  /** The message in the body; undefined when it is neither payload format. */
  readonly message: ReceivedMessage | undefined;
  /** If the body is a list: its elements. */
  readonly elements?: readonly ReceivedElement[];
  /** Its method and its path with the query. */
  readonly target: string;
  /** When its headers had arrived, epoch ms. */
  readonly arrivedAtMs: number;
  /** Requests in flight at that moment, itself included. */
  readonly inFlight: number;
}

/** The HTTP status that was answered, or how a request ended without one. */
export type Answered = number | 'reset' | 'half' | 'aborted';

/** Reads a body: one message or, if it is a list, each of its elements. Never throws. */
function readBody(body: string): { readonly message: ReceivedMessage | undefined } | readonly ReceivedElement[] {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { message: undefined };
  }
  return Array.isArray(value) ? value.map(elementOf) : { message: messageIn(value) };
}

/** A body of either format, or a CloudEvent with one as its data. */
function elementOf(value: unknown): ReceivedElement {
  const isEvent = memberOf(value, 'specversion') !== undefined;
  const body = isEvent ? memberOf(value, 'data') : value;
  const own = isEvent
    ? memberOf(value, 'id')
    : (memberOf(memberOf(body, 'meta'), 'delivery_id') ?? memberOf(body, 'delivery_id'));
  return { deliveryId: typeof own === 'string' ? own : undefined, message: messageIn(body) };
}

/** A body of the new or the legacy format; undefined for anything else. */
function messageIn(message: unknown): ReceivedMessage | undefined {
  const user = memberOf(message, 'id');
  const events = memberOf(message, 'segment_events') ?? memberOf(memberOf(message, 'data'), 'segment_events');
  const change: unknown = Array.isArray(events) ? events[0] : undefined;
  const event = memberOf(change, 'event');
  if (event !== 'enter' && event !== 'exit') return undefined;
  const audience = memberOf(change, 'id');
  const slug = memberOf(change, 'slug');
  const at = memberOf(change, event);
  if (typeof user !== 'string' || typeof audience !== 'string' || typeof slug !== 'string' || typeof at !== 'string')
    return undefined;
  return { user, audience, slug, event, at };
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

/** An answer of a receiver. */
export type Answer =
  | {
      /** HTTP status. */
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      /** How long the answer takes, in ms; instead of the receiver's `delayMs`. */
      readonly delayMs?: number;
    }
  /** The connection is reset. */
  | 'reset'
  /** Nothing ever comes. */
  | 'hang'
  /** The status line, the headers and half of the body, then the connection dies. */
  | 'half';

/** How a receiver deals with a request. */
export interface Handling {
  /** Default: 200. */
  readonly answer?: Answer | undefined;
  /** Called once, when the request is answered or has ended. */
  readonly onAnswered?: (answered: Answered) => void;
}

export interface ReceiverOptions {
  /** Default 0: a free one. */
  readonly port?: number | undefined;
  /** How long every answer takes, in ms. Default 0. */
  readonly delayMs?: number | undefined;
  /** Called with every complete request, before it is answered. */
  readonly handle: (arrival: ReceivedRequest, body: string, request: IncomingMessage) => Handling;
}

/** A running webhook receiver. */
export interface Receiver {
  /** Where to send: `http://127.0.0.1:<port>/`, with any path. */
  readonly url: string;
  readonly port: number;
  /** Requests whose headers have arrived, and which are not answered yet. */
  readonly inFlight: number;
  /** Ends every connection, open requests included. */
  close(): Promise<void>;
}

/** Stands in for the other company's system: accepts requests on the loopback interface and answers as told. It keeps nothing. */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const desk = new Desk(options);
  const server = createServer({ noDelay: true, requestTimeout: 0 }, (request, response) =>
    desk.take(request, response),
  );
  // Longer than any sender keeps an idle connection: the default of 5 s would reset requests that cross with our closing.
  server.keepAliveTimeout = 120_000;
  await once(server.listen(options.port ?? 0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo; // It listens on a port.
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    get inFlight() {
      return desk.inFlight;
    },
    close: async () => {
      desk.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Receives and answers requests. */
class Desk {
  inFlight = 0;
  #requests = 0;
  readonly #options: ReceiverOptions;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    const { method = '' } = request;
    // A browser sends GET, too, and should learn what this is.
    if (!TAKEN.includes(method) && request.headers['webhook-id'] === undefined) {
      request.resume();
      response.writeHead(405, { allow: TAKEN.join(', ') }).end('This is a webhook receiver: it takes POST.\n');
      return;
    }
    this.inFlight += 1;
    const here = { arrivedAtMs: Date.now(), inFlight: this.inFlight };
    let handling: Handling | undefined;
    let open = true;
    // Called before the answer is handed over: the sender may start its next request before we hear that this one has ended.
    const settle = (answered: Answered) => {
      if (!open) return;
      open = false;
      this.inFlight -= 1;
      handling?.onAnswered?.(answered);
    };
    response.once('close', () => settle('aborted'));
    const refuse = () => {
      response.writeHead(413, { connection: 'close' }).end('The body is larger than 64 MiB.\n');
      settle(413);
    };
    readWhole(request, refuse, (body) => {
      handling = this.#options.handle(
        { number: ++this.#requests, ...arrivalOf(request, body), ...here },
        body,
        request,
      );
      const answer = handling.answer ?? OK;
      const delayMs = typeof answer === 'string' ? undefined : answer.delayMs;
      this.#later(delayMs ?? this.#options.delayMs ?? 0, () => give(answer, response, settle));
    });
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #later(delayMs: number, act: () => void): void {
    // Not at once: requests that came together must be in flight together, even if the receiver needs no time.
    if (delayMs <= 0) {
      setImmediate(act);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }
}

const OK: Answer = { status: 200 };
/** Methods that only a sender uses. */
const TAKEN: readonly string[] = ['POST', 'PUT', 'PATCH', 'DELETE'];

function arrivalOf({ headers, method = '', url = '' }: IncomingMessage, body: string) {
  const parsed = readBody(body);
  const { message, elements } =
    'message' in parsed ? { ...parsed, elements: undefined } : { message: undefined, elements: parsed };
  const deliveryId = headers['webhook-id'];
  return {
    deliveryId: typeof deliveryId === 'string' ? deliveryId : undefined,
    message,
    ...(elements === undefined ? {} : { elements }),
    target: `${method} ${url}`,
  };
}

/** More than a batch of ours has. Any web page can send here, and a longer text ends the process. */
const MOST_BODY_BYTES = 64 * 1024 ** 2;

function readWhole(request: IncomingMessage, tooLarge: () => void, done: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MOST_BODY_BYTES) return chunks.push(chunk);
    request.removeAllListeners('data').removeAllListeners('end').resume();
    return tooLarge();
  });
  request.on('end', () => done((chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))?.toString() ?? ''));
}

function give(answer: Answer, response: ServerResponse, settle: (answered: Answered) => void): void {
  if (answer === 'hang') return;
  if (answer === 'reset') {
    settle('reset');
    response.socket?.resetAndDestroy();
  } else if (answer === 'half') {
    settle('half');
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '100' });
    response.write('only half of', () => response.socket?.destroy());
  } else {
    const body = answer.body ?? '';
    settle(answer.status);
    response.writeHead(answer.status, { ...answer.headers, 'content-length': Buffer.byteLength(body) }).end(body);
  }
}
