// @ts-check
import { parentPort, workerData } from 'node:worker_threads';
import jsonata from 'jsonata';

// What runs in the thread of `ExpressionThread`, which ends it when it takes longer or more than is said there. JavaScript, and without an import of
// ours, since a thread is started by Node alone: from source, too, where nothing compiles it.

/** @typedef {import('./expressions.ts').Expressions} Expressions */
/** @typedef {import('./expressions.ts').ToEvaluate} ToEvaluate */
/** @typedef {import('./expressions.ts').Evaluation} Evaluation */
/** @typedef {(name: keyof Expressions, of: unknown) => Promise<unknown>} ValueOf */

/** Most levels that an expression calls itself in, and most values of a list that it makes. */
const OPTIONS = { stack: 300, sequence: 100_000 };
/** Most changes that one request tells. */
const { mostChanges: MOST_CHANGES } = /** @type {{ mostChanges: number }} */ (workerData);
/** Most characters of what comes of a request. */
const MOST_CHARACTERS = 8 * 1024 * 1024;
/** Ingests whose expressions are kept ready. */
const MOST_READY = 100;

/** Its words say what is wrong without what a person's data is. */
class Failed extends Error {}

/** @type {Map<string, Record<string, jsonata.Expression>>} */
const ready = new Map();

/** @param {Expressions} expressions */
function readyFor(expressions) {
  const key = JSON.stringify(expressions);
  const known = ready.get(key);
  if (known !== undefined) return known;
  const made = Object.fromEntries(Object.entries(expressions).map(([name, text]) => [name, compiled(text)]));
  const [oldest] = ready.keys();
  if (ready.size >= MOST_READY && oldest !== undefined) ready.delete(oldest);
  ready.set(key, made);
  return made;
}

/** @param {string} text */
function compiled(text) {
  const expression = jsonata(text, OPTIONS);
  // It would run what a sender wrote.
  expression.registerFunction('eval', () => {
    throw new Failed('there is no $eval here');
  });
  return expression;
}

/**
 * @param {ToEvaluate} asked
 * @returns {Promise<Evaluation>}
 */
async function evaluated({ expressions, body, headers, query }) {
  const all = readyFor(expressions);
  const bindings = { body, headers, query };
  /** @type {ValueOf} */
  const value = async (name, of) => {
    try {
      return await all[name]?.evaluate(of, bindings);
    } catch (error) {
      throw new Failed(`the expression "${name}" fails: ${failureOf(error)}`);
    }
  };
  const items = expressions.each === undefined ? [body] : listOf(await value('each', body));
  if (items.length > MOST_CHANGES) throw new Failed(`"each" makes more than ${MOST_CHANGES} of one request`);
  const changes = [];
  /** @type {string[]} */
  const failures = [];
  let ignored = items.length === 0 ? 1 : 0;
  for (const item of items) {
    try {
      if ((await value('ignore', item)) === true) ignored += 1;
      else changes.push(await reportedOf(item, value));
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      changes.push({ failure: failures.push(error.message) - 1 });
    }
  }
  const json = JSON.stringify({ changes, failures, ignored, id: await value('id', body) });
  if (json.length > MOST_CHARACTERS) throw new Failed('the expressions make too much of one request');
  return { json };
}

/**
 * @param {unknown} value
 * @returns {readonly unknown[]}
 */
function listOf(value) {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/**
 * @param {unknown} item
 * @param {ValueOf} value
 */
async function reportedOf(item, value) {
  return {
    user: await value('user', item),
    audience: await value('audience', item),
    event: await value('event', item),
    at: await value('at', item),
    profile: await value('profile', item),
  };
}

/** Errors whose words have at most a name and a place of the expression in them; those of others quote values, which would be somebody's. */
const SAYABLE =
  /^(?:T04(?:10|11|12)|T10(?:0[5-8]|10)|T200[1-68]|T2010|D1004|D3001|D301[0-2]|D3020|D30[457]0|D308\d|D309[0-3])$/;

/**
 * What is wrong, without what a person's data is.
 * @param {unknown} error
 */
function failureOf(error) {
  if (error instanceof Failed) return error.message;
  const { code, position, token, message } = /** @type {Partial<jsonata.JsonataError>} */ (Object(error));
  if (code === 'D1011') return 'it calls itself too often';
  if (code === 'D2015' || code === 'D2014') return 'it makes a list that is too long';
  const where = typeof position === 'number' ? `, at character ${position}` : '';
  if (code === undefined || message === undefined || !SAYABLE.test(code))
    return `JSONata's error ${code ?? 'without a code'}${where}`;
  const what = code === 'T1006' && typeof token === 'string' ? ` ($${token})` : '';
  return `JSONata says "${message}"${what}${where}`;
}

parentPort?.on('message', (/** @type {ToEvaluate} */ request) => {
  void evaluated(request)
    .catch((/** @type {unknown} */ error) => ({ failure: failureOf(error) }))
    .then((evaluation) => parentPort?.postMessage(evaluation, []));
});
// The time of a request begins once all of this is loaded.
parentPort?.postMessage('ready', []);
