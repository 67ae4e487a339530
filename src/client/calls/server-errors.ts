import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';

/** The gRPC status codes that matter here. */
export const GRPC = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

const TRANSIENT: ReadonlySet<number> = new Set([
  GRPC.CANCELLED,
  GRPC.UNKNOWN,
  GRPC.DEADLINE_EXCEEDED,
  GRPC.RESOURCE_EXHAUSTED,
  GRPC.ABORTED,
  GRPC.INTERNAL,
  GRPC.UNAVAILABLE,
]);

/** The gRPC status code of an SDK error or of one of its causes; undefined when it is not the server's answer. */
export function grpcCode(error: unknown): number | undefined {
  if (isGrpcServiceError(error)) return error.code;
  if (error instanceof WorkflowNotFoundError) return GRPC.NOT_FOUND;
  return error instanceof Error && error.cause !== undefined ? grpcCode(error.cause) : undefined;
}

/**
 * True when a call ended because its deadline had passed. CANCELLED counts too: on a busy machine, one of 960 such calls ended with it. No call of
 * ours is cancelled otherwise, except calls with a signal, which shows it.
 */
export function isTimeUp(error: unknown): boolean {
  const code = grpcCode(error);
  return code === GRPC.DEADLINE_EXCEEDED || code === GRPC.CANCELLED;
}

/** True when asking again may succeed although nobody changes anything. */
export function isTransient(error: unknown): boolean {
  const code = grpcCode(error);
  return code !== undefined && TRANSIENT.has(code);
}

/** Names of what reading throws when something has another shape than ours. */
const SHAPE_FAULTS: ReadonlySet<string> = new Set(['TypeError', 'RangeError', 'SyntaxError', 'ValueError']);

/** True for a fault of reading something of a stranger: anybody who reaches the server can put anything there. */
export function isShapeFault(error: unknown): error is Error {
  return error instanceof Error && SHAPE_FAULTS.has(error.name);
}
