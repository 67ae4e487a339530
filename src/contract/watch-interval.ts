// Without zod: the workflow and the console, which check intervals, too, have none.

/** The shortest and the longest interval of a watch, in ms: a second and a week. */
export const SHORTEST_MS = 1_000;
export const LONGEST_MS = 7 * 24 * 60 * 60 * 1_000;
