import type { ConfiguredLimits } from '../config/api-keys.ts';
import { Refused } from './refusal.ts';

/** Lets through some at a time, and one more after each so many ms. */
export class TokenBucket {
  #left = Infinity;
  #sinceMs = 0;

  /** Counts one. Returns undefined, or the seconds until the next one may come. */
  add(nowMs: number, most: number, everyMs: number): number | undefined {
    this.#left = Math.min(most, this.#left + Math.max(0, nowMs - this.#sinceMs) / everyMs);
    this.#sinceMs = nowMs;
    if (this.#left < 1) return Math.ceil(((1 - this.#left) * everyMs) / 1000);
    this.#left -= 1;
    return undefined;
  }
}

/** Half of what all bodies may have together, so that nobody takes the room of all others. */
const BYTES_IN_FLIGHT = 128 * 1024 * 1024;
/** Several people who load a page. Each may cost a question to a job or a worker. */
const REQUESTS_IN_FLIGHT = 32;
/** More than people have pages open. */
const STREAMS = 100;
/** Seconds until room may be free again. */
const RETRY_S = 2;

/** A key may sign in this many times, and once more after each of these times, in ms. */
const SIGN_INS_AT_ONCE = 20;
const SIGN_IN_EVERY_MS = 3_000;

/** The use that one key or one ingest makes of the API now, and its limits. */
export class Usage {
  #limits: ConfiguredLimits = {};
  readonly #requests = new TokenBucket();
  readonly #signIns = new TokenBucket();
  #inFlight = 0;
  #bytes = 0;
  #streams = 0;
  /** When the last request came, in epoch ms. */
  lastAtMs: number | undefined;

  /** Returns the usage of this name, which goes on when the configuration is read again. */
  static of(usages: Map<string, Usage>, name: string, limits: ConfiguredLimits = {}): Usage {
    const usage = usages.get(name) ?? new Usage();
    usage.#limits = limits;
    usages.set(name, usage);
    return usage;
  }

  /** @throws Refused */
  addRequest(nowMs: number): void {
    this.lastAtMs = nowMs;
    const { requestsPerSecond: rate } = this.#limits;
    const retryAfterS = rate && this.#requests.add(nowMs, Math.max(1, rate), 1000 / rate);
    if (retryAfterS !== undefined) throw tooMany(`${rate} requests a second`, retryAfterS);
  }

  /** Returns what to call, once or more, at the end of the request. @throws Refused */
  openRequest(): () => void {
    const { requestsInFlight = REQUESTS_IN_FLIGHT } = this.#limits;
    if (this.#inFlight >= requestsInFlight) throw tooMany(`${requestsInFlight} requests at a time`, RETRY_S);
    this.#inFlight += 1;
    let open = 1;
    return () => {
      this.#inFlight -= open;
      open = 0;
    };
  }

  /** Each is a deed in the history, which lasts. @throws Refused */
  addSignIn(nowMs: number): void {
    this.addRequest(nowMs);
    const retryAfterS = this.#signIns.add(nowMs, SIGN_INS_AT_ONCE, SIGN_IN_EVERY_MS);
    if (retryAfterS !== undefined) throw tooMany(`${60_000 / SIGN_IN_EVERY_MS} sign-ins a minute`, retryAfterS);
  }

  /** @throws Refused, when these bytes count all the same, until as many are taken away */
  addBytes(bytes: number): void {
    this.#bytes += bytes;
    const { bytesInFlight = BYTES_IN_FLIGHT } = this.#limits;
    if (bytes > 0 && this.#bytes > bytesInFlight) throw tooMany(`${bytesInFlight} bytes of bodies at a time`, RETRY_S);
  }

  /** Returns what to call at the end of the stream. @throws Refused */
  openStream(): () => void {
    const { streams = STREAMS } = this.#limits;
    if (this.#streams >= streams) throw tooMany(`${streams} streams at a time`, RETRY_S);
    this.#streams += 1;
    return () => (this.#streams -= 1);
  }
}

function tooMany(what: string, retryAfterS: number): Refused {
  const detail = `This key or ingest may have ${what}.`;
  return new Refused(429, 'TooManyRequests', detail, { retryAfterS });
}
