import type { IncomingHttpHeaders } from 'node:http';
import { elementsOf, type Recorder, startRecorder } from '../demo/recorder.ts';
import type { Answer, ReceivedElement } from '../src/features/local/receiver.ts';
import { changeKey, type SeenRequest } from './judge.ts';
import type { Trouble } from './trouble.ts';
import { EVERYONE, memberChange } from './workload.ts';

/** The header by which a worker process tells who it is. */
export const WORKER_HEADER = 'x-chaos-worker';

/** The endpoint of one job: answers by the plan, and writes down what it saw. One per job, so that each counts its own requests in flight. */
export class JobEndpoint {
  readonly url: string;
  readonly #receiver: Recorder;
  readonly #workers: Map<number, string>;
  /** Deliveries of which only a half answer said 200. */
  readonly #half: ReadonlySet<string>;

  static async open(
    job: string,
    trouble: Pick<Trouble, 'answer' | 'isShy'> & { readonly isBackAgain?: boolean },
  ): Promise<JobEndpoint> {
    const workers = new Map<number, string>();
    const half = new Set<string>();
    const accepted = new Set<string>();
    const receiver: Recorder = await startRecorder({
      answer: (arrival, { headers }) => {
        workers.set(arrival.number, workerOf(headers));
        const elements = elementsOf(arrival);
        const deliveries = elements.map((element) => `${job} ${changeKey(changeIn(element))}`);
        if (deliveries.length > 1 && deliveries.some((delivery) => trouble.isShy(delivery))) return REFUSAL;
        const isAgain = (delivery: string) => trouble.isBackAgain === true && accepted.has(delivery);
        const answer = worst(deliveries.map((one) => trouble.answer(isAgain(one) ? `${one} again` : one)));
        if (answer === 'half' || !isTrouble(answer)) for (const delivery of deliveries) accepted.add(delivery);
        const ids = elements.map(({ deliveryId = '' }) => deliveryId);
        if (answer === 'half') for (const id of receiver.ledger.missingIds(ids)) half.add(id);
        else if (!isTrouble(answer)) for (const id of ids) half.delete(id);
        return answer;
      },
    });
    return new JobEndpoint(`${receiver.url}${job}`, receiver, workers, half);
  }

  private constructor(url: string, receiver: Recorder, workers: Map<number, string>, half: Set<string>) {
    this.url = url;
    this.#receiver = receiver;
    this.#workers = workers;
    this.#half = half;
  }

  /** Deliveries whose sender got a status line of 2xx, each counted once. */
  get delivered(): number {
    return this.#receiver.ledger.delivered + this.#half.size;
  }

  get requestCount(): number {
    return this.#receiver.ledger.requests;
  }

  /** What all requests so far were about, one by one. */
  requests(): SeenRequest[] {
    return this.#receiver.ledger.entries.flatMap((arrival) => {
      const { arrivedAtMs, endedAtMs, inFlight, answered, number } = arrival;
      const worker = this.#workers.get(number) ?? '';
      return elementsOf(arrival).map((element) => {
        const { deliveryId = '' } = element;
        return { ...changeIn(element), deliveryId, worker, number, arrivedAtMs, endedAtMs, inFlight, answered };
      });
    });
  }

  async close(): Promise<void> {
    await this.#receiver.close();
  }
}

/** What is refused in company and accepted alone. */
const REFUSAL: Answer = { status: 422 };

/** The answer to a batch, where there would be one to each of its elements: the first that is no success, if there is one. */
function worst(answers: readonly Answer[]): Answer {
  return answers.find(isTrouble) ?? answers[0] ?? { status: 200 };
}

function isTrouble(answer: Answer): boolean {
  return typeof answer === 'string' || answer.status >= 300;
}

function workerOf(headers: IncomingHttpHeaders): string {
  const worker = headers[WORKER_HEADER];
  return typeof worker === 'string' ? worker : '';
}

/** What a message says changed. Nothing that was signalled looks like an unreadable one. */
function changeIn({ message }: Pick<ReceivedElement, 'message'>): { person: string; what: string } {
  if (message === undefined) return { person: '', what: 'unreadable' };
  const { user, slug, event, at } = message;
  return slug === EVERYONE ? memberChange(user) : { person: user, what: `${slug} ${event} ${at}` };
}
