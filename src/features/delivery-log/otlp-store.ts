import { Agent, request } from 'undici';
import { codeOf } from '../../domain/errors.ts';
import { definedOf } from '../../domain/json.ts';
import { NO_FAILURES } from './searched-verdicts.ts';
import { trustedAuthorities } from '../../network/tls.ts';
import type { StoredDeed, DeliveryBatch, DeliveryStore, StoredRow } from './delivery-store.ts';
import { DeliveryLogError } from './log-error.ts';
import { DEEDS, DELIVERY_FIELDS } from './tables.ts';

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
    for (const one of [...rows.map(deliveryRecord), ...deeds.map(deedRecord)]) {
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

const SERVICE = JSON.stringify({ attributes: attributeOf('service.name', 'audience-triggers') });
const HEAD = `{"resourceLogs":[{"resource":${SERVICE},"scopeLogs":[{"scope":{"name":"audience-triggers"},"logRecords":[`;
const TAIL = ']}]}]}';

/** A delivery as docs/delivery-log.md describes it. */
function deliveryRecord(row: StoredRow): object {
  const { at, deliveryId, event, audience, verdict, status, code } = row;
  const isFailure = verdict !== 'delivered' && !NO_FAILURES.includes(verdict);
  const text = `${event} ${audience}: ${verdict} ${status ?? code ?? ''}`.trim();
  const attributes = DELIVERY_FIELDS.flatMap(({ field, otlp }) => attributeOf(otlp, row[field]));
  // The trigger's spans have the same.
  return { ...recordOf(at, isFailure ? [WARN, 'WARN'] : [INFO, 'INFO'], text, attributes), traceId: deliveryId };
}

/** A deed: its attributes are its columns. */
function deedRecord(deed: StoredDeed): object {
  const columns = Object.keys(DEEDS);
  const [at = '', kind, target, action] = ['at', 'kind', 'target', 'action'].map(
    (one) => deed[columns.indexOf(one)] ?? '',
  );
  const attributes = columns.flatMap((column, i) => attributeOf(`triggers.${column}`, deed[i]));
  return recordOf(at, [INFO, 'INFO'], `${kind} ${target}: ${action}`, attributes);
}

type Severity = readonly [severityNumber: number, severityText: string];

function recordOf(at: string, [severityNumber, severityText]: Severity, text: string, attributes: readonly object[]) {
  const time = `${Date.parse(at)}000000`;
  return {
    timeUnixNano: time,
    observedTimeUnixNano: time,
    severityNumber,
    severityText,
    body: { stringValue: text },
    attributes,
  };
}

/** An attribute, if it has a name and a value. */
function attributeOf(key: string | undefined, value: string | number | null | undefined): object[] {
  if (key === undefined || value == null) return [];
  return [{ key, value: typeof value === 'string' ? { stringValue: value } : { intValue: String(Math.ceil(value)) } }];
}
