import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { FromReceiver, ToReceiver } from './receiver.ts';

type Done = Extract<FromReceiver, { kind: 'done' }>;
type Counted = Extract<FromReceiver, { kind: 'counted' }>;

/** The receiver process, seen from the cases. */
export class Endpoint {
  readonly url: string;
  readonly #child: ChildProcess;

  static async open(): Promise<Endpoint> {
    const child = fork(new URL('./receiver.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
    const [message] = (await once(child, 'message')) as [FromReceiver]; // The child sends nothing else.
    if (message.kind !== 'ready') throw new Error('The receiver did not come up.');
    return new Endpoint(child, message.port);
  }

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}/hook`;
  }

  /** Resolves once so many triggers were answered since now. */
  async expect(
    requests: number,
    options: { readonly delayMs?: number; readonly times?: boolean; readonly lists?: boolean } = {},
  ): Promise<Done> {
    const done = once(this.#child, 'message');
    const message: ToReceiver = {
      kind: 'await',
      requests,
      delayMs: options.delayMs ?? 0,
      times: options.times ?? false,
      lists: options.lists ?? false,
    };
    this.#child.send(message);
    const [answer] = (await done) as [FromReceiver];
    if (answer.kind !== 'done') throw new Error('The receiver started anew.');
    return answer;
  }

  /** What has come since it was last counted; not to be asked while something is awaited. */
  async count(): Promise<Counted> {
    const answered = once(this.#child, 'message');
    const message: ToReceiver = { kind: 'count' };
    this.#child.send(message);
    const [answer] = (await answered) as [FromReceiver];
    if (answer.kind !== 'counted') throw new Error('The receiver awaits something.');
    return answer;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  close(): void {
    this.#child.disconnect();
  }
}

/** How long each person's trigger took, in ms, from when it was sent to its arrival. */
export function latenciesMs(sentAtNs: ReadonlyMap<string, bigint>, arrivals: Done['arrivals']): number[] {
  return [...sentAtNs].map(([user, at]) => Number(BigInt(arrivals[user] ?? '0') - at) / 1e6);
}
