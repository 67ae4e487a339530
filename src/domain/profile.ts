import type { JsonObject } from '../contract/trigger.ts';
import { type MemberPlaces, scanMembers } from './json-scan.ts';
import { parseJson, stringifyJson } from './json.ts';

/** A person's fields as their source has them: an object, or the JSON text of one, which need not be parsed only to be written again. */
export type Profile = JsonObject | ProfileText;

/** A person's fields as an object. */
export function fieldsOf(profile: Profile): JsonObject {
  return profile instanceof ProfileText ? profile.parse() : profile;
}

/** The JSON text of a person's fields, sent as it is spelt. It is valid, and its keys are sorted by UTF-16 code units, each present once. */
export class ProfileText {
  readonly #text: string;
  readonly #starts: readonly number[];
  readonly #end: number;

  /**
   * Reads the JSON object in `text` from `from` to `to`. Undefined when there is none, and when it needs a real parser: a key that is there
   * twice or has an escape, a lone surrogate, more than a hundred levels.
   */
  static read(text: string, from = 0, to = text.length): ProfileText | undefined {
    const places = scanMembers(text, from, to);
    if (places === undefined) return undefined;
    const read = new ProfileText(text, places);
    return places.isSorted ? read : read.#sorted();
  }

  private constructor(text: string, { starts, end }: MemberPlaces) {
    this.#text = text;
    this.#starts = starts;
    this.#end = end;
  }

  parse(): JsonObject {
    return parseJson(this.with({})) as JsonObject; // It is an object's text.
  }

  /** The text with our members in their places, which win over the person's fields of the same name. */
  with(ours: JsonObject): string {
    const pieces: string[] = [];
    let next = 0;
    for (const key of Object.keys(ours).sort()) {
      const place = this.#placeOf(key);
      if (next < place) pieces.push(this.#members(next, place));
      pieces.push(`${JSON.stringify(key)}:${stringifyJson(ours[key] ?? null)}`);
      next = this.#keyAt(place) === key ? place + 1 : place;
    }
    const count = this.#starts.length;
    if (next < count) pieces.push(this.#members(next, count));
    return `{${pieces.join(',')}}`;
  }

  /** How many keys are smaller. */
  #placeOf(key: string): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keyAt(middle) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Empty after the last. */
  #keyAt(place: number): string {
    const start = this.#starts[place];
    return start === undefined ? '' : this.#text.slice(start + 1, this.#text.indexOf('"', start + 1));
  }

  #members(first: number, last: number): string {
    const next = this.#starts[last];
    const end = next === undefined ? this.#end : this.#text.lastIndexOf(',', next);
    return this.#text.slice(this.#starts[first], end);
  }

  /** Undefined when a key is there twice. */
  #sorted(): ProfileText | undefined {
    const members = this.#starts.map((_, place) => ({
      key: this.#keyAt(place),
      text: this.#members(place, place + 1),
    }));
    members.sort((a, b) => (a.key < b.key ? -1 : 1));
    const text = `{${members.map((member) => member.text).join(',')}}`;
    const places = scanMembers(text, 0, text.length);
    return places?.isSorted === true ? new ProfileText(text, places) : undefined;
  }
}
