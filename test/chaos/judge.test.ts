import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { clusterConfig, dynamicConfigLines } from '../../chaos/cluster-config.ts';
import { changeKey, type Incidents, judge, type SeenRequest, UNREPORTED_MS } from '../../chaos/judge.ts';
import { readOptions } from '../../chaos/options.ts';
import { SoakLedger } from '../../chaos/soak-ledger.ts';
import { Trouble, type TroubleOptions } from '../../chaos/trouble.ts';
import { WorkerLog } from '../../chaos/worker-log.ts';
import { changeOf, liveTriggers } from '../../chaos/workload.ts';
import { samplePeople } from '../../demo/sample-people.ts';
import type { Answer } from '../../src/local/receiver.ts';

describe('the judge', () => {
  const CALM: Incidents = { kills: new Map(), outages: [], repeated: new Set(), requestTimeoutMs: 2000 };

  function change(person: string, n: number) {
    return { person, what: `vip enter ${n}` };
  }

  /** A request of a second's n-th millisecond, answered 200 a millisecond later. */
  function request(person: string, n: number, more: Partial<SeenRequest> = {}): SeenRequest {
    const arrivedAtMs = more.arrivedAtMs ?? 1000 + n;
    return {
      ...change(person, n),
      deliveryId: `id of ${person} ${n}`,
      worker: 'w1',
      arrivedAtMs,
      endedAtMs: arrivedAtMs + 1,
      inFlight: 1,
      answered: 200,
      ...more,
    };
  }

  const live = [change('a', 1), change('b', 2), change('a', 3)];
  const clean = [request('a', 1), request('b', 2), request('a', 3)];
  const job = { cap: 2, live, members: [], requests: clean };

  test('finds nothing where there is nothing to find', () => {
    expect(judge(job, CALM)).toEqual({
      delivered: 3,
      lost: 0,
      outOfOrder: 0,
      overCap: 0,
      unexplainedOverCap: 0,
      mostInFlight: 1,
      longestAbandonedMs: 0,
      duplicates: 0,
      unexplainedDuplicates: 0,
      changedIds: 0,
      unexpected: 0,
      violations: [],
    });
  });

  test('finds what never arrived, and what arrived but was never taken', () => {
    const requests = [request('a', 1), request('a', 3, { answered: 500 }), request('a', 3, { answered: 'reset' })];
    const verdict = judge({ ...job, members: [change('c', 9)], requests }, CALM);
    expect(verdict).toMatchObject({ delivered: 1, lost: 3 });
    expect(verdict.violations).toEqual(['lost: b vip enter 2', 'lost: a vip enter 3', 'lost: c vip enter 9']);
  });

  test('a half answer is an arrival: its status line said 200', () => {
    const requests = [...clean.slice(0, 2), request('a', 3, { answered: 'half' })];
    expect(judge({ ...job, requests }, CALM)).toMatchObject({ delivered: 3, lost: 0 });
  });

  test('finds what was overtaken, by first successes', () => {
    const swapped = [request('a', 3), request('b', 2), request('a', 1)];
    expect(judge({ ...job, requests: swapped }, CALM)).toMatchObject({ lost: 0, outOfOrder: 1 });
    // Neither an earlier attempt that failed nor a later repeat is a change of order.
    const retried = [request('a', 3, { answered: 503 }), ...clean, request('a', 1)];
    expect(judge({ ...job, requests: retried }, CALM)).toMatchObject({ outOfOrder: 0, duplicates: 1 });
  });

  test('members of a backfill have no order, but may not be missing', () => {
    const members = [change('a', 8), change('a', 9)];
    const requests = [request('a', 9), ...clean, request('a', 8)];
    expect(judge({ ...job, members, requests }, CALM)).toMatchObject({ delivered: 5, lost: 0, outOfOrder: 0 });
    expect(judge({ ...job, members, requests: clean }, CALM)).toMatchObject({ lost: 2 });
  });

  test('a repeat is explained by what left the job in doubt, and by nothing else', () => {
    const twice = (first: Partial<SeenRequest>, incidents: Partial<Incidents>) => {
      const requests = [...clean, request('a', 3, first), request('a', 3, { worker: 'w2', arrivedAtMs: 20_000 })];
      const { duplicates, unexplainedDuplicates } = judge(
        { ...job, requests: requests.filter((one) => one !== clean[2]) },
        { ...CALM, ...incidents },
      );
      return { duplicates, unexplainedDuplicates };
    };
    const explained = { duplicates: 1, unexplainedDuplicates: 0 };
    const unexplained = { duplicates: 1, unexplainedDuplicates: 1 };
    const at = 10_000;
    expect(twice({ arrivedAtMs: at }, {})).toEqual(unexplained);

    // The kill of the worker that sent it, a short while later; not of another one, not long after.
    expect(twice({ arrivedAtMs: at }, { kills: new Map([['w1', at + 1500]]) })).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, { kills: new Map([['w2', at + 1500]]) })).toEqual(unexplained);
    expect(twice({ arrivedAtMs: at }, { kills: new Map([['w1', at + UNREPORTED_MS + 1]]) })).toEqual(unexplained);

    const outage = (fromMs: number) => ({ outages: [{ fromMs, toMs: fromMs + 2000 }] });
    expect(twice({ arrivedAtMs: at }, outage(at + 1000))).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, outage(at - 4000))).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, outage(at + UNREPORTED_MS + 1))).toEqual(unexplained);
    expect(twice({ arrivedAtMs: at }, outage(at - 2001 - UNREPORTED_MS))).toEqual(unexplained);

    expect(twice({ arrivedAtMs: at, answered: 'half' }, {})).toEqual(explained);
    expect(twice({ arrivedAtMs: at, endedAtMs: at + 1900 }, {})).toEqual(explained);
    expect(twice({ arrivedAtMs: at, endedAtMs: at + 1000 }, {})).toEqual(unexplained);

    expect(twice({ arrivedAtMs: at }, { repeated: new Set([changeKey(change('a', 3))]) })).toEqual(explained);
    expect(twice({ arrivedAtMs: at }, { repeated: new Set([changeKey(change('a', 1))]) })).toEqual(unexplained);
  });

  test('a request that was reset between two successes explains nothing', () => {
    const requests = [...clean, request('a', 3, { answered: 'reset' }), request('a', 3)];
    expect(judge({ ...job, requests }, CALM)).toMatchObject({ duplicates: 1, unexplainedDuplicates: 1 });
  });

  test('more in flight than the cap is a violation for each request that came too early', () => {
    const requests = clean.map((one, place) => ({ ...one, inFlight: place + 1 }));
    expect(judge({ ...job, cap: 3, requests }, CALM)).toMatchObject({ overCap: 0, mostInFlight: 3 });
    const verdict = judge({ ...job, cap: 1, requests }, CALM);
    expect(verdict).toMatchObject({ overCap: 2, unexplainedOverCap: 2, mostInFlight: 3 });
    expect(verdict.violations).toHaveLength(2);
  });

  test('the cap may be exceeded by as many requests as the endpoint has open while nobody waits for them, and by no more', () => {
    const overBy = (excess: number, open: Partial<SeenRequest>, incidents: Partial<Incidents> = {}) => {
      const left = request('a', 1, { arrivedAtMs: 1000, endedAtMs: undefined, answered: undefined, ...open });
      const requests = [left, request('b', 2, { arrivedAtMs: 5000, worker: 'w2', inFlight: 2 + excess })];
      return judge({ ...job, requests }, { ...CALM, ...incidents }).unexplainedOverCap;
    };
    const killed = { kills: new Map([['w1', 4999]]) };
    expect(overBy(1, { arrivedAtMs: 4500 }, killed)).toBe(0);
    expect(overBy(2, { arrivedAtMs: 4500 }, killed)).toBe(1);
    expect(overBy(1, { arrivedAtMs: 4500 }, { kills: new Map([['w1', 5001]]) })).toBe(1);
    expect(overBy(1, { arrivedAtMs: 4500 }, { kills: new Map([['w3', 4999]]) })).toBe(1);
    // Given up by its deadline; or closed by then, so that it does not count.
    expect(overBy(1, { arrivedAtMs: 3000 })).toBe(0);
    expect(overBy(1, { arrivedAtMs: 4000 })).toBe(1);
    expect(overBy(1, { arrivedAtMs: 3000, endedAtMs: 4999, answered: 'aborted' })).toBe(1);
  });

  test('what came in one request counts as one towards the cap, and is judged by itself', () => {
    const at = { arrivedAtMs: 5000, inFlight: 2 };
    const requests = [
      request('a', 1, { ...at, number: 1 }),
      request('b', 2, { ...at, number: 1 }),
      request('a', 3, { number: 2 }),
    ];
    expect(judge({ ...job, cap: 1, requests }, CALM)).toMatchObject({
      delivered: 3,
      overCap: 1,
      unexplainedOverCap: 1,
    });
    expect(judge({ ...job, requests: requests.toReversed() }, CALM)).toMatchObject({ outOfOrder: 1 });
  });

  test('says how long a request stayed open after the kill of its sender', () => {
    const requests = [
      request('a', 1, { arrivedAtMs: 4000, endedAtMs: 5040, answered: 'aborted' }),
      request('b', 2, { arrivedAtMs: 4500, endedAtMs: 4999 }),
      request('a', 3, { arrivedAtMs: 4000, endedAtMs: 9000, worker: 'w2' }),
    ];
    const incidents = { ...CALM, kills: new Map([['w1', 5000]]) };
    expect(judge({ ...job, requests }, incidents)).toMatchObject({ longestAbandonedMs: 40 });
  });

  test('finds a change that came under a second delivery id, and what nobody signalled', () => {
    const requests = [...clean, request('a', 3, { deliveryId: 'another' }), request('z', 7)];
    expect(judge({ ...job, requests }, CALM)).toMatchObject({ changedIds: 1, unexpected: 1 });
  });
});

describe('the cluster', () => {
  const places = {
    postgresPort: 5000,
    ports: [6001, 6002, 6003, 6004, 6005, 6006, 6007, 6008, 6009, 6010, 6011],
    dynamicConfigFile: '/somewhere/dynamic.yaml',
  };
  const config = clusterConfig(places, 'somebody');

  test('each service has ports of its own, and only loopback hears them', () => {
    const { services } = config;
    const rpcs = Object.values(services).map(({ rpc }) => rpc);
    expect(rpcs.map(({ bindOnLocalHost }) => bindOnLocalHost)).toEqual([true, true, true, true]);
    const used = rpcs.flatMap((rpc) => Object.values(rpc).filter((value) => typeof value === 'number'));
    expect(used.toSorted((a, b) => a - b)).toEqual(places.ports.filter((port) => port !== 6006 && port !== 6011));
    expect(services.frontend.rpc).toMatchObject({ grpcPort: 6001, httpPort: 6002 });
    expect(config.clusterMetadata.clusterInformation.active.rpcAddress).toBe('127.0.0.1:6001');
  });

  test('both stores are the databases that schema.sh makes, in the PostgreSQL that it was told', () => {
    const { persistence } = config;
    const stores = [persistence.datastores.default, persistence.datastores.visibility].map(({ sql }) => sql);
    expect(stores.map(({ databaseName }) => databaseName)).toEqual(['temporal', 'temporal_visibility']);
    for (const sql of stores)
      expect(sql).toMatchObject({ pluginName: 'postgres12', connectAddr: '127.0.0.1:5000', user: 'somebody' });
  });

  test('a frontend that asks who calls has another one beside it, for the server itself', () => {
    const guard = { tls: { frontend: { server: { requireClientAuth: true } } } };
    const { services, global } = clusterConfig(places, 'somebody', guard);
    expect(services).toMatchObject({ 'internal-frontend': { rpc: { grpcPort: 6006, membershipPort: 6011 } } });
    expect(global).toMatchObject(guard);
  });

  test('too few ports are an error', () => {
    expect(() => clusterConfig({ ...places, ports: [6001, 6002] }, 'somebody')).toThrow('11 ports');
  });

  test('settings are a file of dynamic configuration as the server reads it', () => {
    const lines = dynamicConfigLines({ 'limit.blobSize.error': 65_536, 'some.switch': true, 'some.name': 'a: b' });
    expect(parse(lines)).toEqual({
      'limit.blobSize.error': [{ value: 65_536 }],
      'some.switch': [{ value: true }],
      'some.name': [{ value: 'a: b' }],
    });
  });

  test('of a setting that stands there twice, ours is the one that counts', () => {
    const own = 'limit.historySize.error:\n  - value: 1\nother:\n  - value: 2\n';
    expect(parse(dynamicConfigLines({ 'limit.historySize.error': 3 }, own))).toEqual({
      'limit.historySize.error': [{ value: 3 }],
      other: [{ value: 2 }],
    });
  });
});

describe('options', () => {
  const DEFAULTS = { triggers: 3_000, kills: Number.POSITIVE_INFINITY, only: '', 'workers-stay': false };

  test('an option that is not given is its default, and one that is given is of the same kind', () => {
    expect(readOptions(DEFAULTS, [])).toEqual({ options: DEFAULTS });
    expect(readOptions(DEFAULTS, ['--triggers', '7', '--only', 'a,b', '--workers-stay'])).toEqual({
      options: { ...DEFAULTS, triggers: 7, only: 'a,b', 'workers-stay': true },
    });
  });

  test.each(['', '3x', '-1', 'many'])('a number that is none is not taken: "%s"', (given) => {
    expect(readOptions(DEFAULTS, [`--triggers=${given}`])).toEqual({
      problem: `--triggers is a number, not "${given}".`,
    });
  });

  test.each([['--trigers', '7'], ['7'], ['--workers-stay=yes'], ['--triggers']])(
    'what is misspelt, or out of place, is not taken: %s',
    (...args) => {
      expect(readOptions(DEFAULTS, args)).toHaveProperty('problem');
    },
  );

  test.each(['--help', '-h'])('help is asked for by %s', (flag) => {
    expect(readOptions(DEFAULTS, [flag])).toEqual({});
  });
});

describe('the soak', () => {
  function figuresOf(arrivals: readonly number[], { triggers = 20, people = 3 } = {}) {
    const ledger = new SoakLedger(triggers, people);
    for (const trigger of arrivals) ledger.take(trigger);
    const { delivered, lost, duplicates, outOfOrder, unexpected } = ledger;
    return { delivered, lost, duplicates, outOfOrder, unexpected };
  }

  const all = Array.from({ length: 20 }, (_, i) => i);
  const clean = { delivered: 20, lost: 0, duplicates: 0, outOfOrder: 0, unexpected: 0 };

  test('finds nothing when each came once, people in any order', () => {
    expect(figuresOf(all)).toEqual(clean);
    const byPerson = [2, 0, 1].flatMap((person) => all.filter((trigger) => trigger % 3 === person));
    expect(figuresOf(byPerson)).toEqual(clean);
    expect(figuresOf([1, 0, 2, ...all.slice(3)])).toEqual(clean);
  });

  test('finds what is lost, doubled, overtaken by a younger one of its person, or none of ours', () => {
    expect(figuresOf(all.filter((trigger) => trigger !== 9))).toEqual({ ...clean, delivered: 19, lost: 1 });
    expect(figuresOf([...all, 9, 9])).toEqual({ ...clean, duplicates: 2 });
    expect(figuresOf([0, 1, 2, 6, 3, ...all.slice(4).filter((trigger) => trigger !== 6)])).toEqual({
      ...clean,
      outOfOrder: 1,
    });
    expect(figuresOf([...all, 20, -1, Number.NaN])).toEqual({ ...clean, unexpected: 3 });
  });
});

describe('trouble', () => {
  const DELIVERIES = Array.from({ length: 5_000 }, (_, i) => `delivery ${i}`);
  const OPTIONS: TroubleOptions = { seed: 1, mostFailures: 2, longestAnswerMs: 4 };

  function isGood(answer: Answer): boolean {
    return typeof answer === 'object' && answer.status === 200;
  }

  test('the same seed gives every delivery the same troubles, whatever came between', () => {
    const first = new Trouble(OPTIONS);
    const second = new Trouble(OPTIONS);
    const answers = DELIVERIES.map((delivery) => first.answer(delivery));
    expect([...DELIVERIES].reverse().map((delivery) => second.answer(delivery))).toEqual([...answers].reverse());
    const other = new Trouble({ ...OPTIONS, seed: 2 });
    expect(DELIVERIES.map((delivery) => other.answer(delivery))).not.toEqual(answers);
  });

  test('every kind of trouble comes, to a few deliveries in a hundred', () => {
    const trouble = new Trouble(OPTIONS);
    const bad = DELIVERIES.map((delivery) => trouble.answer(delivery)).filter((answer) => !isGood(answer));
    expect(bad.length).toBeGreaterThan(DELIVERIES.length / 100);
    expect(bad.length).toBeLessThan(DELIVERIES.length / 20);
    const kinds = new Set(bad.map((answer) => (typeof answer === 'object' ? answer.status : answer)));
    expect([...kinds].map(String).sort()).toEqual(['429', '500', '503', 'half', 'hang', 'reset']);
  });

  test('no delivery fails more often than it may, also not while the endpoint is down', () => {
    for (const mostFailures of [1, 2]) {
      const trouble = new Trouble({ ...OPTIONS, mostFailures });
      trouble.goDown(60_000);
      for (const delivery of DELIVERIES.slice(0, 200)) {
        const answers = Array.from({ length: 5 }, () => trouble.answer(delivery));
        const failures = answers.filter((answer) => !isGood(answer) && !isThrottle(answer));
        expect(failures).toHaveLength(mostFailures);
      }
    }
  });

  function isThrottle(answer: Answer): boolean {
    return typeof answer === 'object' && answer.status === 429;
  }
});

describe('the log of workers', () => {
  test('counts what workers complained of, by its words', () => {
    const log = new WorkerLog();
    log.read('{"level":40,"msg":"Failing workflow task","run_id":"a"}\n{"level":30,"msg":"well"}\n');
    log.read('{"level":40,"msg":"Failing workflow task","run_id":"b"}\n{"level":50,"msg":"bad"}\n');
    expect(log.workflowTaskFailures).toBe(2);
    expect([...log.complaints].map(([msg, { count }]) => [msg, count])).toEqual([
      ['Failing workflow task', 2],
      ['bad', 1],
    ]);
    expect(log.complaints.get('Failing workflow task')?.first).toContain('"run_id":"a"');
  });

  test('a line that is not JSON is a complaint: a process that aborts writes such lines', () => {
    const log = new WorkerLog();
    log.read('async hook stack has become corrupted\n{"level":40,"ms');
    expect([...log.complaints.keys()]).toEqual(['async hook stack has become corrupted', '{"level":…,"ms']);
    expect(log.workflowTaskFailures).toBe(0);
  });

  test('complaints that differ by an id or a number are of one kind', () => {
    const log = new WorkerLog();
    for (const task of ['960b5366-4057-425c-b540-0de10854719b:1091:1', 'e2f6e865-b541-4c15-b6a0-640792c935f6:914:2'])
      log.read(`{"level":40,"msg":"[TMPRL1104] ${task} Workflow task duration exceeded 5 seconds"}\n`);
    expect([...log.complaints.values()].map(({ count }) => count)).toEqual([2]);
  });
});

describe('the workload', () => {
  const people = [...samplePeople({ people: 20 })];
  const triggers = liveTriggers(people, 1_000, 3);

  test('the same seed gives the same triggers', () => {
    expect(liveTriggers(people, 1_000, 3)).toEqual(triggers);
    expect(liveTriggers(people, 1_000, 4)).not.toEqual(triggers);
  });

  test('no two triggers are the same change, and their times are in their order', () => {
    expect(new Set(triggers.map((trigger) => changeKey(changeOf(trigger)))).size).toBe(1_000);
    const times = triggers.map(({ at }) => at);
    expect([...times].sort()).toEqual(times);
  });

  test('a person enters an audience before they leave it', () => {
    const isIn = new Set<string>();
    for (const { user, audience, event } of triggers) {
      const membership = `${user} ${audience}`;
      expect(isIn.has(membership)).toBe(event === 'exit');
      if (event === 'enter') isIn.add(membership);
      else isIn.delete(membership);
    }
  });
});
