import type { Audience } from '../../contract/audience.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';

// How an endpoint's list of members differs from the members. The long parts lie in a folder of the workers, under the difference's id.

/** A part of the endpoint's list; argument of the activity `keepTheirMembers`. */
export interface TheirMembers {
  /** A UUID, which the difference has, too. */
  readonly differenceId: string;
  /** From 0. */
  readonly part: number;
  readonly ids: readonly string[];
}

/** Argument of the activity `compareMembers`. */
export interface Comparison {
  readonly differenceId: string;
  /** How many parts of the list were kept. */
  readonly parts: number;
  /** Canonical id. */
  readonly audience: string;
  /** The events that the job sends: the rest of the difference is left out. */
  readonly events: readonly TriggerEvent[];
}

/** A difference, counted. */
export interface DifferenceCounts {
  /** People on the endpoint's list, each once. */
  readonly theirs: number;
  /** Members, according to the source. */
  readonly members: number;
  /** People on the list who are members. */
  readonly both: number;
  /** Members who are missing from the list, and are to be sent as enters. */
  readonly enters: number;
  /** People on the list who are not members, and are to be sent as exits. */
  readonly exits: number;
}

/** Result of the activity `compareMembers`. */
export interface ComparedMembers extends DifferenceCounts {
  /** The first of them, to show to people. */
  readonly first: Readonly<Record<'enters' | 'exits', readonly string[]>>;
}

/** How an endpoint's list differs from the members of one audience now. */
export interface Difference extends ComparedMembers {
  readonly id: string;
  readonly audience: Audience;
}
