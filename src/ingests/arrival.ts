import type { Json, JsonObject, TriggerEvent } from '../contract/trigger.ts';

/** What an ingest looks at of a request. */
export interface Arrival {
  /** By name in lower case; one that is there twice has all of it. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The parameters of the URL. */
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: Json;
}

/** The parameters of a URL's query, and one that it has twice: which of the two counts is nobody's to say. */
export function parametersIn(query: string): {
  readonly query: Arrival['query'];
  readonly doubled: string | undefined;
} {
  const parameters = [...new URLSearchParams(query)];
  const names = parameters.map(([name]) => name);
  return {
    query: Object.fromEntries(parameters),
    doubled: names.find((name, index) => names.indexOf(name) !== index),
  };
}

export function doubledText(name: string): string {
  return `The URL has the parameter "${name.slice(0, 50)}" twice.`;
}

/** One membership change, as its sender tells it. Whether a trigger can be made of it is for others to say. */
export interface Change {
  readonly user: string;
  readonly event: TriggerEvent;
  /** How the sender names the audience, the most lasting name first: id, slug, name. At least one. */
  readonly audiences: readonly [string, ...string[]];
  /** RFC 3339; absent: the sender does not say. */
  readonly at?: string | undefined;
  readonly profile?: JsonObject | undefined;
}

/** Why something that is told as a change cannot be read. In words, without anything that it says of a person. */
export interface Unreadable {
  readonly reason: string;
}

/** What a request says. */
export interface Reading {
  /** In their order. */
  readonly changes: readonly (Change | Unreadable)[];
  /** What came besides and tells of no change. */
  readonly ignored: number;
  /** The same whenever the sender repeats this request, and of no other request; absent: the sender says none. */
  readonly messageId?: string | undefined;
  /** What the sender expects to find in the answer. */
  readonly answer?: JsonObject | undefined;
}

/** What may be said about any preset. */
export interface PresetSettings {
  /** The field of a person that is their id, as a dotted path; undefined: where the sender has it by itself. */
  readonly userField?: string | undefined;
  /** The audience that all of it is about; undefined: the sender says it. */
  readonly audience?: string | undefined;
  /** Our names of audiences, by the sender's. */
  readonly audiences: Readonly<Record<string, string>>;
}

/** Reads a sender's requests. Pure, and throws nothing, whatever comes. */
export type ReadArrival = (arrival: Arrival, settings: PresetSettings) => Reading;
