import type { MemberPage } from '../../../contract/backfill.ts';
import type { PackedTriggers } from '../../../contract/holder.ts';
import type { TriggerEvent } from '../../../contract/trigger.ts';
import { packTriggers, queuedBytes, unpackTriggers } from './chain.ts';

export interface CarriedPage {
  readonly number: number;
  readonly audience: string;
  readonly ids: readonly string[];
  /** True: these people are to be sent as exits. */
  readonly isOfExits?: true;
  /** In place of ids: what a replay tells again. */
  readonly told?: PackedTriggers;
}

/** A person who is to be sent. */
export interface Member {
  readonly user: string;
  readonly audience: string;
  /** An exit is of somebody who is not a member but is on the endpoint's list. */
  readonly event: TriggerEvent;
  /** In a replay: the trigger's own time. */
  readonly at?: string;
}

/** The members of a page. */
interface Page {
  readonly number: number;
  /** By person: their triggers that are still to be put into a slice, in order. Only a replay has several. */
  readonly waiting: Map<string, Member[]>;
  /** The bytes of all that it had when it came. */
  readonly bytes: number;
}

/** The members that a job has taken from a backfill's pages and not yet put into a chain, in the order in which they came. */
export class WaitingPages {
  readonly #pages = new Set<Page>();
  #members = 0;

  constructor(carried: readonly CarriedPage[]) {
    for (const { number, isOfExits, ids, ...page } of carried) {
      const members = membersOf({ ...page, ...(isOfExits === true ? { ids: [], exits: ids } : { ids }) });
      this.add(number, members, () => false);
    }
  }

  /** How many are waiting. */
  get members(): number {
    return this.#members;
  }

  /** Bytes that they take when carried, at most. */
  get bytes(): number {
    return [...this.#pages].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The number of the first page in which somebody is still waiting; undefined when nobody is. */
  get firstNumber(): number | undefined {
    const [page] = this.#pages;
    return page?.number;
  }

  has(user: string): boolean {
    return [...this.#pages].some(({ waiting }) => waiting.has(user));
  }

  /**
   * Adds the people of a page who are still to be sent, and returns how many are not.
   *
   * @param isSuperseded whether this is old news.
   */
  add(number: number, members: readonly Member[], isSuperseded: (member: Member) => boolean): number {
    const waiting = new Map<string, Member[]>();
    let superseded = 0;
    for (const member of members) {
      const more = waiting.get(member.user);
      // A source may list somebody on two pages. People who are still waiting from an earlier page are sent once.
      const isTwice = member.at === undefined && (more !== undefined || this.#waits(member));
      if (isTwice || isSuperseded(member)) superseded++;
      else if (more === undefined) waiting.set(member.user, [member]);
      else more.push(member);
    }
    this.#members += members.length - superseded;
    if (waiting.size > 0) this.#pages.add({ number, waiting, bytes: bytesOf(members) });
    return superseded;
  }

  /** Takes the first member; undefined when nobody is waiting. */
  shift(): Member | undefined {
    const [page] = this.#pages;
    const [more] = page?.waiting.values() ?? [];
    const member = more?.[0];
    if (page !== undefined && member !== undefined) this.#remove(page, member.user, (one) => one === member);
    return member;
  }

  /** Removes a person from an audience's pages, and returns what was there. */
  remove(user: string, audience: string): Member[] {
    const removed: Member[] = [];
    for (const page of this.#pages) removed.push(...this.#remove(page, user, (one) => one.audience === audience));
    return removed;
  }

  /** Removes an audience, and returns how many of its members were waiting. */
  removeAudience(audience: string): number {
    const before = this.#members;
    for (const page of this.#pages)
      for (const user of page.waiting.keys()) this.#remove(page, user, (one) => one.audience === audience);
    return before - this.#members;
  }

  clear(): void {
    this.#pages.clear();
    this.#members = 0;
  }

  carry(): CarriedPage[] {
    return [...this.#pages].flatMap(({ number, waiting }) => carriedPages(number, [...waiting.values()].flat()));
  }

  #waits({ user, audience }: Member): boolean {
    return [...this.#pages].some(({ waiting }) => waiting.get(user)?.some((one) => one.audience === audience) === true);
  }

  #remove(page: Page, user: string, matches: (member: Member) => boolean): Member[] {
    const before = page.waiting.get(user);
    if (before === undefined) return [];
    const left = before.filter((one) => !matches(one));
    this.#members -= before.length - left.length;
    if (left.length > 0) page.waiting.set(user, left);
    else page.waiting.delete(user);
    if (page.waiting.size === 0) this.#pages.delete(page);
    return left.length === before.length ? [] : before.filter(matches);
  }
}

/** The people of a page; exits come before enters. */
export function membersOf({
  audience,
  ids,
  exits = [],
  told,
}: Pick<MemberPage, 'audience' | 'ids' | 'exits' | 'told'>): Member[] {
  if (told !== undefined) {
    return unpackTriggers(told).map(({ user, trigger: { audience, event, at } }) => ({ user, audience, event, at }));
  }
  return [
    ...exits.map((user): Member => ({ user, audience, event: 'exit' })),
    ...ids.map((user): Member => ({ user, audience, event: 'enter' })),
  ];
}

function carriedPages(number: number, members: readonly Member[]): CarriedPage[] {
  const { audience = '' } = members[0] ?? {};
  const told = members.flatMap(({ user, at, ...rest }) =>
    at === undefined ? [] : [{ user, trigger: { ...rest, at } }],
  );
  if (told.length > 0) return [{ number, audience, ids: [], told: packTriggers(told) }];
  const idsOf = (wanted: TriggerEvent) => members.filter(({ event }) => event === wanted).map(({ user }) => user);
  const [exits, enters] = [idsOf('exit'), idsOf('enter')];
  return [
    ...(exits.length === 0 ? [] : [{ number, audience, ids: exits, isOfExits: true as const }]),
    ...(enters.length === 0 ? [] : [{ number, audience, ids: enters }]),
  ];
}

/** Bytes that they take in JSON, at most. A replay names the ids of its audiences once. */
function bytesOf(members: readonly Member[]): number {
  const sum = members.reduce(
    (bytes, { user, at, ...rest }) =>
      bytes + (at === undefined ? 3 + 3 * user.length : queuedBytes(user, { ...rest, at })),
    0,
  );
  return members[0]?.at === undefined ? sum : sum + AUDIENCE_BYTES * new Set(members.map((one) => one.audience)).size;
}

// "0123456789abcdef0123456789abcdef",
const AUDIENCE_BYTES = 35;
