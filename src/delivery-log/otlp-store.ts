import { Agent, request } from 'undici';
import { codeOf } from '../domain/errors.ts';
import { definedOf } from '../domain/json.ts';
import { NO_FAILURES } from '../domain/verdict.ts';
import { trustedAuthorities } from '../webhook/tls.ts';
import type { StoredDeed } from './delivery-store.ts';
import { DEED_COLUMNS } from './deeds.ts';
import { DeliveryLogError } from './log-error.ts';
import type { DeliveryBatch, DeliveryStore, StoredRow } from './delivery-store.ts';

/** An OpenTelemetry collector. */
export interface LogCollector {
  readonly otlp: { readonly endpoint: string; readonly headers: Readonly<Record<string, string>> };
  readonly certificateAuthorities: readonly string[];
  readonly connectTimeoutMs: number;
  /** The longest time of one request. */
  readonly statementTimeoutMs: number;
}

/** Most characters of one request, but for a row that is longer: collectors take 20 MiB by default. */
const MOST_CHARACTERS = 4 * 1024 * 1024;
const [BAD_REQUEST, TOO_LARGE] = [400, 413];
/** Bytes of an answer that are read; beyond that, the connection is closed. */
const MOST_ANSWER = 128 * 1024;
/** In OTLP's `severityNumber`. */
const [INFO, WARN] = [9, 13];

/**
 * Sends deliveries to a collector, as log records: OTLP over HTTP, as JSON. They cannot be read here. A batch that was not confirmed is sent again, so a
 * record may come twice.
 */
export class OtlpDeliveryStore implements DeliveryStore {
  readonly #collector: LogCollector;
  readonly #agent: Agent;

  constructor(collector: LogCollector) {
    this.#collector = collector;
    const { certificateAuthorities, connectTimeoutMs, statementTimeoutMs } = collector;
    const trust = { rejectUnauthorized: true, minVersion: 'TLSv1.2' as const };
    const authorities = definedOf({ ca: trustedAuthorities(certificateAuthorities) });
    this.#agent = new Agent({
      connect: { timeout: connectTimeoutMs, ...trust, ...authorities },
      headersTimeout: statementTimeoutMs,
      bodyTimeout: statementTimeoutMs,
    });
  }

  /** @throws DeliveryLogError */
  async write({ rows, deeds = [] }: DeliveryBatch): Promise<number> {
    let refused = 0;
    let part: string[] = [];
    let characters = 0;
    for (const one of [...rows.map(recordOf), ...deeds.map(deedRecord)]) {
      const record = JSON.stringify(one);
      if (part.length > 0 && characters + record.length > MOST_CHARACTERS) {
        refused += await this.#send(part);
        [part, characters] = [[], 0];
      }
      part.push(record);
      characters += record.length;
    }
    if (part.length > 0) refused += await this.#send(part);
    return refused;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** Returns how many records the collector refuses for good. */
  async #send(records: readonly string[]): Promise<number> {
    const status = await this.#post(records);
    if (status < 300) return 0;
    if (status === TOO_LARGE && records.length > 1) {
      const half = Math.ceil(records.length / 2);
      return (await this.#send(records.slice(0, half))) + (await this.#send(records.slice(half)));
    }
    if (status === TOO_LARGE || status === BAD_REQUEST) return records.length;
    const code = `HTTP ${status}`;
    throw new DeliveryLogError('written', this.#where, `it answered ${code}`, { code });
  }

  /** Returns the status. No answer takes longer than `statementTimeoutMs`. */
  async #post(records: readonly string[]): Promise<number> {
    const { endpoint, headers } = this.#collector.otlp;
    const signal = AbortSignal.timeout(this.#collector.statementTimeoutMs);
    const answer = await request(endpoint, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: `${HEAD}${records.join(',')}${TAIL}`,
      dispatcher: this.#agent,
      signal,
    }).catch((error: unknown) => {
      throw new DeliveryLogError('written', this.#where, codeOf(error) ?? 'there was no answer', error);
    });
    // The status decides, even if the rest never comes.
    await answer.body.dump({ limit: MOST_ANSWER, signal }).catch(() => answer.body.destroy());
    return answer.statusCode;
  }

  get #where(): string {
    return `a collector, ${new URL(this.#collector.otlp.endpoint).host}`;
  }
}

const SERVICE = JSON.stringify({ attributes: attributesOf({ 'service.name': 'audience-triggers' }) });
const HEAD = `{"resourceLogs":[{"resource":${SERVICE},"scopeLogs":[{"scope":{"name":"audience-triggers"},"logRecords":[`;
const TAIL = ']}]}]}';

/** A delivery as docs/delivery-log.md describes it. */
function recordOf(row: StoredRow): object {
  const { at, deliveryId, event, audience, verdict, status, code } = row;
  const time = `${Date.parse(at)}000000`;
  const isFailure = verdict !== 'delivered' && !NO_FAILURES.includes(verdict);
  return {
    timeUnixNano: time,
    observedTimeUnixNano: time,
    severityNumber: isFailure ? WARN : INFO,
    severityText: isFailure ? 'WARN' : 'INFO',
    body: { stringValue: `${event} ${audience}: ${verdict} ${status ?? code ?? ''}`.trim() },
    // The trigger's spans have the same.
    traceId: deliveryId,
    attributes: attributesOf({
      'triggers.job_id': row.jobId,
      'triggers.webhook_id': deliveryId,
      'triggers.batch_id': row.batchId,
      'triggers.user': row.user,
      'triggers.audience': audience,
      'triggers.event': event,
      'triggers.at': row.triggerAt,
      'triggers.attempt': row.attempt,
      'triggers.sequence': row.sequence,
      'triggers.verdict': verdict,
      'triggers.lane': row.lane,
      'triggers.duration_ms': Math.ceil(row.durationMs),
      'triggers.worker': row.worker,
      'triggers.answer': row.answer,
      'triggers.exchange': row.exchange,
      'http.request.body.size': row.requestBytes,
      'http.response.status_code': status,
      'error.type': code,
    }),
  };
}

/** A deed: its attributes are its columns. */
function deedRecord(deed: StoredDeed): object {
  const columns = DEED_COLUMNS.map((column, i) => [column, deed[i] ?? undefined] as const);
  const { at = '', kind = '', target = '', action = '' } = Object.fromEntries(columns);
  const time = `${Date.parse(at)}000000`;
  return {
    timeUnixNano: time,
    observedTimeUnixNano: time,
    severityNumber: INFO,
    severityText: 'INFO',
    body: { stringValue: `${kind} ${target}: ${action}` },
    attributes: attributesOf(Object.fromEntries(columns.map(([column, value]) => [`triggers.${column}`, value]))),
  };
}

/** @param values whole numbers and texts. */
function attributesOf(values: Readonly<Record<string, string | number | undefined>>): object[] {
  return Object.entries(definedOf(values)).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: String(value) },
  }));
}
