/** What a job did in a minute or a quarter of an hour. */
export interface TrendPoint {
  /** RFC 3339: when it began. */
  readonly at: string;
  /** Triggers delivered in it. */
  readonly delivered: number;
  /** Attempts in it that failed: one of a batch is one, however many people it was about. */
  readonly failed: number;
  /** Triggers that waited at its end, or now. */
  readonly waiting: number;
}

/** Answer of the query `trend`: what a job did lately, oldest first, without a gap, up to now. It begins when something first happened to the job. */
export interface JobTrend {
  readonly v: 1;
  /** By minute, at most 60. */
  readonly hour: readonly TrendPoint[];
  /** By quarter of an hour, at most 96. */
  readonly day: readonly TrendPoint[];
}
