import type { IncomingHttpHeaders } from 'node:http';
import type { ReceivedRequest } from '../src/local/ledger.ts';
import { type Receiver, startReceiver } from '../src/local/receiver.ts';
import { changeKey, type SeenRequest } from './judge.ts';
import type { Trouble } from './trouble.ts';
import { EVERYONE, memberChange } from './workload.ts';

/** The header by which a worker process tells who it is. */
export const WORKER_HEADER = 'x-chaos-worker';

/** The endpoint of one job: answers by the plan, and writes down what it saw. One per job, so that each counts its own requests in flight. */
export class JobEndpoint {
  readonly url: string;
  readonly #receiver: Receiver;
  readonly #workers: Map<number, string>;
  readonly #half: Set<string>;

  static async open(job: string, trouble: Trouble): Promise<JobEndpoint> {
    const workers = new Map<number, string>();
    const half = new Set<string>();
    const receiver = await startReceiver({
      answer: (arrival, { headers }) => {
        workers.set(arrival.number, workerOf(headers));
        const answer = trouble.answer(`${job} ${changeKey(changeIn(arrival))}`);
        if (answer === 'half') half.add(arrival.deliveryId ?? '');
        return answer;
      },
    });
    return new JobEndpoint(`${receiver.url}${job}`, receiver, workers, half);
  }

  private constructor(url: string, receiver: Receiver, workers: Map<number, string>, half: Set<string>) {
    this.url = url;
    this.#receiver = receiver;
    this.#workers = workers;
    this.#half = half;
  }

  /** Deliveries whose sender got a status line of 2xx, each counted once. */
  get delivered(): number {
    const { ledger } = this.#receiver;
    return ledger.delivered + ledger.missingIds(this.#half).length;
  }

  get requestCount(): number {
    return this.#receiver.ledger.requests;
  }

  /** All requests so far. */
  requests(): SeenRequest[] {
    return this.#receiver.ledger.entries.map((arrival) => {
      const { arrivedAtMs, endedAtMs, inFlight, answered, deliveryId = '', number } = arrival;
      const worker = this.#workers.get(number) ?? '';
      return { ...changeIn(arrival), deliveryId, worker, arrivedAtMs, endedAtMs, inFlight, answered };
    });
  }

  async close(): Promise<void> {
    await this.#receiver.close();
  }
}

function workerOf(headers: IncomingHttpHeaders): string {
  const worker = headers[WORKER_HEADER];
  return typeof worker === 'string' ? worker : '';
}

/** What a message says changed. Nothing that was signalled looks like an unreadable one. */
function changeIn({ message }: ReceivedRequest): { person: string; what: string } {
  if (message === undefined) return { person: '', what: 'unreadable' };
  const { user, slug, event, at } = message;
  return slug === EVERYONE ? memberChange(user) : { person: user, what: `${slug} ${event} ${at}` };
}
