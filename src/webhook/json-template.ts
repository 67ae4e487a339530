import {
  AssignTag,
  CaptureTag,
  CaseTag,
  CommentTag,
  DecrementTag,
  ForTag,
  IfTag,
  IncrementTag,
  InlineCommentTag,
  Output,
  type Template,
  TypeGuards,
  UnlessTag,
} from 'liquidjs';

/** Where a template stops giving JSON, whatever the values in it are. */
export interface JsonImpossible {
  /** The place in its source; undefined: its end, where something is still open. */
  readonly offset: number | undefined;
}

/**
 * Why a template can give JSON for nobody; undefined: it may for somebody, or nothing is certain. Its text is read as JSON, with all that its values
 * may be: of `json` a JSON value, of anything else any text, but for one that closes what the template has opened, or opens what it closes. Of branches
 * any may be taken, and a loop may have any number of rounds.
 *
 * @param isSkip whether a tag leaves the person out.
 * @param hasLocals whether it has variables of its own, which may hold any text.
 */
export function jsonImpossible(
  templates: readonly Template[],
  { isSkip, hasLocals }: { readonly isSkip: (template: Template) => boolean; readonly hasLocals: boolean },
): JsonImpossible | undefined {
  const reading = new Reading(isSkip, hasLocals);
  try {
    const states = reading.all(templates, keyed([{ at: 'value', within: '' }]));
    if ([...states.values()].some(isWhole)) return undefined;
    if (states.size > 0) return { offset: undefined };
    return reading.diedAt === undefined ? undefined : { offset: reading.diedAt };
  } catch (error) {
    if (error instanceof Uncertain) return undefined;
    throw error;
  }
}

/**
 * How far a text has come in JSON: what comes next, or what it is in the middle of. `first`: of a list, `key` of an object, which may end instead;
 * `name`: a key that must come; `in …`: in a string, with what an escape lacks; `word …`: in a number, true, false or null, or (`?`) in one whose
 * beginning is not known.
 */
interface State {
  readonly at: string;
  /** What is open, the innermost first: `{` and `[`. */
  readonly within: string;
}

type States = ReadonlyMap<string, State>;

/** Nothing is certain of this template. */
class Uncertain extends Error {}

const MOST_STATES = 200;
const MOST_ROUNDS = 20;

function keyed(states: Iterable<State>): States {
  const all = new Map([...states].map((state) => [`${state.at}\0${state.within}`, state]));
  if (all.size > MOST_STATES) throw new Uncertain();
  return all;
}

function union(...some: readonly States[]): States {
  return keyed(some.flatMap((states) => [...states.values()]));
}

/** Filters that write no brackets which were not there, and take none away. */
const HARMLESS =
  /^(abs|append|base64|capitalize|ceil|date|default|divided_by|downcase|escape|floor|md5|minus|modulo|plus|prepend|round|sha1|sha256|size|strip|times|upcase|url_encode)$/;
const WRITES_NOTHING = [AssignTag, CaptureTag, CommentTag, InlineCommentTag] as const;

/** Follows a template through all that it may write. */
class Reading {
  /** The furthest place at which nothing was possible any more. */
  diedAt: number | undefined;
  readonly #isSkip: (template: Template) => boolean;
  readonly #hasLocals: boolean;

  constructor(isSkip: (template: Template) => boolean, hasLocals: boolean) {
    this.#isSkip = isSkip;
    this.#hasLocals = hasLocals;
  }

  all(templates: readonly Template[], from: States): States {
    let states = from;
    for (const template of templates) {
      if (states.size === 0) break;
      states = this.#one(template, states);
    }
    return states;
  }

  #one(template: Template, from: States): States {
    const { token } = template;
    if (TypeGuards.isHTMLToken(token)) return this.#text(token.getContent(), token.begin + token.trimLeft, from);
    if (template instanceof Output) return this.#output(template, from);
    if (WRITES_NOTHING.some((tag) => template instanceof tag)) return from;
    if (this.#isSkip(template)) return new Map();
    if (template instanceof IncrementTag || template instanceof DecrementTag) return anyText(from);
    if (template instanceof IfTag || template instanceof UnlessTag) {
      const branches = template.branches.map((branch) => this.all(branch.templates, from));
      return union(...branches, this.all(template.elseTemplates ?? [], from));
    }
    if (template instanceof CaseTag) return this.#case(template, from);
    if (template instanceof ForTag) return this.#for(template, from);
    throw new Uncertain();
  }

  /** Of a `case`, several branches may be written, one after the other. */
  #case({ branches, elseTemplates }: CaseTag, from: States): States {
    const taken = branches.reduce((states, branch) => union(states, this.all(branch.templates, states)), from);
    return union(taken, this.all(elseTemplates, from));
  }

  #for({ collection, templates, elseTemplates }: ForTag, from: States): States {
    if (!TypeGuards.isPropertyAccessToken(collection) || collection.variable !== undefined) throw new Uncertain();
    let states = from;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const more = union(states, this.all(templates, states));
      if (more.size === states.size) return union(states, this.all(elseTemplates, from));
      states = more;
    }
    throw new Uncertain();
  }

  #text(text: string, offset: number, from: States): States {
    let states = [...from.values()];
    for (let index = 0; index < text.length; index++) {
      const character = text.charAt(index);
      states = states.flatMap((state) => next(state, character) ?? []);
      if (states.length === 0) return this.#died(offset + index);
    }
    return keyed(states);
  }

  #output({ value: { filters }, token }: Output, from: States): States {
    const last = filters.at(-1);
    if (last !== undefined && /^json(ify)?$/.test(last.name) && last.args.length === 0) {
      const states = union(...[...from.values()].map(afterJson));
      return states.size === 0 ? this.#died(token.begin) : states;
    }
    const isPlain = filters.every(({ name }) => HARMLESS.test(name)) && !/[[\]{}]/.test(token.getText().slice(2, -2));
    if (this.#hasLocals || !isPlain) throw new Uncertain();
    return anyText(from);
  }

  #died(offset: number): States {
    this.diedAt = Math.max(this.diedAt ?? 0, offset);
    return new Map();
  }
}

const WORD = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const IN_WORD = /[\w.+-]/;
const BLANK = /[ \t\n\r]/;

function isWord(at: string): boolean {
  return at === 'word ?' || WORD.test(at.slice('word '.length));
}

function isWhole({ at, within }: State): boolean {
  return within === '' && (at === 'after' || (at.startsWith('word ') && isWord(at)));
}

/** How far it comes with one more character; undefined: that cannot be JSON. */
function next({ at, within }: State, character: string): State | undefined {
  if (at.startsWith('in ')) return inString(at, within, character);
  if (at.startsWith('word ')) {
    if (IN_WORD.test(character)) return { at: at === 'word ?' ? at : at + character, within };
    return isWord(at) ? next({ at: 'after', within }, character) : undefined;
  }
  if (BLANK.test(character)) return { at, within };
  const closes = (character === '}' && within.startsWith('{')) || (character === ']' && within.startsWith('['));
  const mayEnd = at === 'after' || (at === 'key' && character === '}') || (at === 'first' && character === ']');
  if (closes && mayEnd) return { at: 'after', within: within.slice(1) };
  switch (at) {
    case 'value':
    case 'first':
      if (character === '{') return { at: 'key', within: `{${within}` };
      if (character === '[') return { at: 'first', within: `[${within}` };
      if (character === '"') return { at: 'in value', within };
      return IN_WORD.test(character) ? { at: `word ${character}`, within } : undefined;
    case 'key':
    case 'name':
      return character === '"' ? { at: 'in name', within } : undefined;
    case 'colon':
      return character === ':' ? { at: 'value', within } : undefined;
    default:
      if (character !== ',' || within === '') return undefined;
      return { at: within.startsWith('{') ? 'name' : 'value', within };
  }
}

/** `in value`, `in name`; with `\` after a backslash, with `u` for each hexadecimal digit that is to come. */
function inString(at: string, within: string, character: string): State | undefined {
  const [, kind = '', lacks = ''] = /^(in \w+)(.*)$/.exec(at) ?? [];
  const plain = { at: kind, within };
  if (lacks.startsWith(' u')) return /[\da-f]/i.test(character) ? { at: at.slice(0, -1).trimEnd(), within } : undefined;
  if (lacks === '\\') {
    if (character === 'u') return { at: `${kind} uuuu`, within };
    return /["\\/bfnrt]/.test(character) ? plain : undefined;
  }
  if (character === '"') return { at: kind === 'in name' ? 'colon' : 'after', within };
  if (character === '\\') return { at: `${kind}\\`, within };
  return character < ' ' ? undefined : plain;
}

/** What may come of a JSON value, which is never empty. */
function afterJson(state: State): States {
  const { at, within } = state;
  switch (at) {
    case 'value':
    case 'first':
      // Of a number, digits may follow.
      return keyed(['after', 'word ?'].map((then) => ({ at: then, within })));
    case 'key':
    case 'name':
      return keyed([{ at: 'colon', within }]);
    case 'colon':
    case 'after':
      return new Map();
    default:
      return anyText(keyed([state]));
  }
}

/** Wherever a text may lead that leaves open what is open, and opens nothing else. */
function anyText(from: States): States {
  return union(
    from,
    ...[...from.values()].map(({ within }) => {
      const inObject = ['key', 'name', 'in name', 'colon'];
      const here = within.startsWith('{') ? inObject : within.startsWith('[') ? ['first'] : [];
      return keyed([...here, 'value', 'in value', 'after', 'word ?'].map((at) => ({ at, within })));
    }),
  );
}
