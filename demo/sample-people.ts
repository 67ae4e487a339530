import type { AudienceListing } from '../src/contract/audience.ts';
import type { Json, JsonObject } from '../src/contract/trigger.ts';
import { Dice } from './dice.ts';

export interface SampleOptions {
  /** How many people. Default 1,000. */
  readonly people?: number;
  /** The same seed gives the same people, to the last byte. Default 1. */
  readonly seed?: number;
}

/** An invented person. */
export interface SamplePerson {
  /** A number of 19 or 20 digits, as text. */
  readonly user: string;
  readonly profile: JsonObject;
  /** Slugs of the audiences they are in. */
  readonly audiences: readonly string[];
}

/** The audiences of the sample. They overlap: about one person in a hundred is in all three, one in three in none. */
export const SAMPLE_AUDIENCES: readonly AudienceListing[] = [
  { id: '5f1d7c0be2a94d3c8e6b1a7f93d0c452', slug: 'cart-abandoners', name: 'Left a full cart', windowMinutes: 60 },
  { id: 'b7e3a1940c5d4f28916e8d2f7ab6305c', slug: 'newsletter', name: 'Newsletter readers' },
  { id: '0c9a6e58d41b4b7fa2f3985e7d1c6b20', slug: 'vip', name: 'VIP customers' },
];
const SHARES: Readonly<Record<string, number>> = { 'cart-abandoners': 0.15, newsletter: 0.55, vip: 0.1 };

/** One after another, as long as they are asked for. Profiles are as rich as those of a real pipeline: about 1.2 KB of JSON, a body of 1.4 KB. */
export function* samplePeople({ people = 1000, seed = 1 }: SampleOptions = {}): Generator<SamplePerson> {
  const dice = new Dice(seed);
  const users = userIds(seed);
  for (let i = 0; i < people; i++) {
    const user = users.next().value;
    const profile = profileOf(i, dice);
    const audiences = SAMPLE_AUDIENCES.map(({ slug }) => slug).filter((slug) => dice.chance() < (SHARES[slug] ?? 0));
    yield { user, profile, audiences };
  }
}

const SMALLEST_ID = 10n ** 18n;

/** Never the same twice: the mixing (SplitMix64) maps each of the 2^64 inputs to another output. */
function* userIds(seed: number): Generator<string, never> {
  for (let input = BigInt(seed) << 32n; ; input++) {
    let mixed = BigInt.asUintN(64, (input + 1n) * 0x9e3779b97f4a7c15n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    mixed ^= mixed >> 31n;
    if (mixed >= SMALLEST_ID) yield String(mixed);
  }
}

const FIRST_NAMES = [
  'Ada',
  'Béla',
  'Chiara',
  'Dmitri',
  'Elif',
  'Femi',
  'Grace',
  'Hana',
  'Imre',
  'Jonas',
  'Keiko',
  'Linnéa',
];
const LAST_NAMES = [
  'Abara',
  'Brandt',
  'Castillo',
  'Duarte',
  'Eriksen',
  'Fontaine',
  'Ito',
  'Kowalska',
  'Moreau',
  'Okafor',
];
const CITIES = ['Aarhus', 'Bologna', 'Córdoba', 'Graz', 'Leeds', 'Nagoya', 'Porto', 'Tucson'];
const CHANNELS = ['web', 'email', 'mobile', 'store'];
const STREAMS = ['default', 'web', 'orders', 'newsletter'];
const USER_AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
];
const EPOCH_MS = Date.UTC(2026, 8, 1);
const DAY_MS = 86_400_000;
/** One person in this many has a number above 2^53 in the profile. */
const LOYALTY_EVERY = 100;

function profileOf(index: number, dice: Dice): JsonObject {
  const first = dice.oneOf(FIRST_NAMES);
  const last = dice.oneOf(LAST_NAMES);
  const createdMs = EPOCH_MS - dice.between(0, 900 * DAY_MS);
  const activeMs = createdMs + Math.floor(dice.chance() * (EPOCH_MS - createdMs));
  const customBytes = dice.between(100, 999);
  const internalBytes = dice.between(30, 60);
  const channels = CHANNELS.slice(0, dice.between(1, CHANNELS.length));
  const streams = STREAMS.slice(0, dice.between(1, STREAMS.length));
  return {
    _created: localTime(createdMs),
    _cust_sz: customBytes,
    _internal_sz: internalBytes,
    _modified: localTime(activeMs),
    _num_aliases: dice.between(1, 3),
    _num_conflicts: 0,
    _num_days: Math.ceil((activeMs - createdMs) / DAY_MS) + 1,
    _num_events: dice.between(1, 5000),
    _num_streams: streams.length,
    _split: dice.between(0, 99),
    _streamnames: streams,
    _total_sz: customBytes + internalBytes,
    channels,
    email: `${ascii(first)}.${ascii(last)}.${index}@example.com`,
    first_name: first,
    firstvisit_ts: localTime(createdMs),
    hourly: counts(dice, 24, 6),
    hourofweek: counts(dice, 168, 8),
    is_bot: 'f',
    is_mobile: dice.oneOf(['t', 'f']),
    last_active_ts: localTime(activeMs),
    last_channel_activities: Object.fromEntries(
      channels.map((channel) => [channel, localTime(activeMs - dice.between(0, 5 * DAY_MS))]),
    ),
    last_name: last,
    lastvisit_ts: localTime(activeMs),
    ...(index % LOYALTY_EVERY === 0 ? { loyalty_number: loyaltyNumber(dice) } : {}),
    name: `${first} ${last}`,
    score_frequency: dice.between(0, 100),
    score_intensity: dice.between(0, 100),
    score_momentum: dice.between(0, 100),
    score_propensity: dice.between(0, 100),
    score_quantity: dice.between(0, 100),
    score_recency: dice.between(0, 100),
    user_agent: dice.oneOf(USER_AGENTS),
    user_attributes: {
      city: dice.oneOf(CITIES),
      plan: dice.oneOf(['free', 'plus', 'family']),
      interests: ['garden', 'music', 'travel', 'cooking', 'cycling'].slice(0, dice.between(1, 5)),
      value: String(dice.between(0, 999)),
    },
  };
}

/** Odd and above 2^53, so that a double would not hold it. */
function loyaltyNumber(dice: Dice): Json {
  return 9_007_199_254_740_993n + 2n * BigInt(dice.between(0, 1_000_000_000));
}

function counts(dice: Dice, of: number, most: number): JsonObject {
  const places = Array.from({ length: dice.between(2, most) }, () => dice.between(0, of - 1));
  return Object.fromEntries(places.map((place) => [String(place), dice.between(1, 40)]));
}

function localTime(epochMs: number): string {
  return `${new Date(epochMs - 7 * 3_600_000).toISOString().slice(0, 23)}-07:00`;
}

function ascii(name: string): string {
  return name
    .normalize('NFD')
    .replaceAll(/[^A-Za-z]/g, '')
    .toLowerCase();
}
