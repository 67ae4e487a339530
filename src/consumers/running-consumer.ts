/** What consumes a stream until it is stopped. */
export interface RunningConsumer {
  /** Why it cannot do its work at the moment; undefined when it can. */
  readonly problem: string | undefined;
  /** Reads nothing more, and ends once what was read is accepted, or after 10 s. What was not is read again by the next consumer. */
  stop(): Promise<void>;
}
