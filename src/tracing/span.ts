/** A span that has ended. See docs/tracing.md for their names and attributes. */
export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Absent for a root. */
  readonly parentSpanId?: string;
  /** Whether it is a request to somebody else. */
  readonly isRequest: boolean;
  /** Epoch ms, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  /** Nothing that identifies a person, and nothing of a URL except its host and port. */
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
}
