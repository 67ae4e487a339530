import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MemorySource } from '../../support/memory-source.ts';
import { VIP, WatchLab } from './a-watch.ts';
import { always } from '../../support/properties.ts';

/** Where a round is cut off, once: by a page, a look-up, a job, or a crash behind a step that was done. */
const fault = fc.record({
  at: fc.constantFrom('page', 'look-up', 'job', 'scanned', 'confirmed', 'told', 'nowhere'),
  after: fc.integer({ min: 0, max: 12 }),
});
const users = fc.uniqueArray(
  fc.integer({ min: 0, max: 25 }).map((n) => `user ${n}`),
  { maxLength: 20 },
);
const rounds = fc.array(fc.record({ members: users, hidden: users, faults: fc.array(fault, { maxLength: 3 }) }), {
  minLength: 2,
  maxLength: 6,
});

type Fault = { readonly at: string; readonly after: number };
const CRASH = 'crashed here';

/** Watches as the workflow does: what is pending is told, else a scan is begun; what fails is begun anew, by the same rules. */
class Rounds {
  readonly source = new MemorySource({ audiences: [{ ...VIP, members: [] }] });
  readonly lab = new WatchLab(this.source);
  hidden = new Set<string>();
  #fault: Fault = { at: 'nowhere', after: 0 };
  #pending: { scanId: string; at: string } | undefined;
  #number = 0;

  constructor() {
    this.lab.subscribers.jobIds = ['crm', 'ads'];
    const members = this.source.members.bind(this.source);
    const isMember = this.source.isMember.bind(this.source);
    let pages = 0;
    let lookUps = 0;
    this.source.members = async (id, after) => {
      if (after === undefined) pages = 0;
      if (this.#fault.at === 'page' && pages++ === this.#fault.after) throw new Error(CRASH);
      const page = await members(id, after, 5);
      return { ...page, ids: page.ids.filter((user) => !this.hidden.has(user)) };
    };
    this.source.isMember = async (id, user) => {
      if (this.#fault.at === 'look-up' && lookUps++ >= this.#fault.after) throw new Error(CRASH);
      return await isMember(id, user);
    };
  }

  async until(faults: readonly Fault[]): Promise<void> {
    for (const one of [...faults, { at: 'nowhere', after: 0 }]) {
      this.#fault = one;
      this.lab.subscribers.failing = one.at === 'job' ? { jobId: 'ads', after: one.after } : undefined;
      const isDone = await this.#turn().then(
        () => true,
        (error: Error) => {
          if (!error.message.includes(CRASH) && !error.message.includes('takes no more')) throw error;
          return false;
        },
      );
      if (isDone) return;
    }
  }

  async #turn(): Promise<void> {
    this.#pending ??= await this.#scan();
    await this.lab.emit(this.#pending.scanId, this.#pending.at);
    this.#crash('told');
    this.lab.base = this.#pending.scanId;
    this.#pending = undefined;
  }

  async #scan(): Promise<{ scanId: string; at: string }> {
    const at = `2026-11-25T08:30:00.${String(++this.#number).padStart(9, '0')}Z`;
    const { scanId } = await this.lab.scan({ scanId: randomUUID() });
    this.#crash('scanned');
    await this.lab.confirm(scanId);
    this.#crash('confirmed');
    return { scanId, at };
  }

  #crash(at: string): void {
    if (this.#fault.at === at) throw new Error(CRASH);
  }
}

test('wherever rounds are cut off, each job hears of every change once, or again the same, and of nothing that was not so', async () => {
  await always(
    fc.asyncProperty(rounds, async (states) => {
      const run = new Rounds();
      const expected = new Map<string, string[]>();
      let before = new Set<string>();
      for (const [i, { members, hidden, faults }] of states.entries()) {
        const now = new Set(members);
        for (const user of before) if (!now.has(user)) run.source.exit(VIP.id, user);
        for (const user of now) if (!before.has(user)) run.source.enter(VIP.id, user);
        // Pages may leave out who was a member before; who is new is seen.
        run.hidden = new Set(hidden.filter((user) => before.has(user)));
        await run.until(faults);
        if (i > 0)
          for (const user of new Set([...before, ...now])) {
            if (before.has(user) === now.has(user)) continue;
            expected.set(user, [...(expected.get(user) ?? []), now.has(user) ? 'enter' : 'exit']);
          }
        before = now;
      }
      for (const jobId of ['crm', 'ads']) {
        const heard = new Map<string, string[]>();
        const known = new Set<string>();
        for (const { user, event, at = '' } of run.lab.subscribers.told.get(jobId) ?? []) {
          if (known.has(`${user} ${event} ${at}`)) continue;
          known.add(`${user} ${event} ${at}`);
          heard.set(user, [...(heard.get(user) ?? []), event]);
        }
        expect(heard).toEqual(expected);
      }
    }),
    4,
  );
});
