/** A span that has ended. docs/tracing.md says what each is called and holds. */
export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Absent: it is a root. */
  readonly parentSpanId?: string;
  /** Whether it is a request to somebody else. */
  readonly isRequest: boolean;
  /** Epoch ms, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  /** Nothing that names a person, and nothing of a URL but its host and port. */
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
}
