import type { TraceEvent } from '../contract/trace.ts';

/** Whether an event of a trace shows that its job knows the person; a trigger may wait longer than the histories that record it are kept. */
export function knowsPerson(event: TraceEvent): boolean {
  if (event.kind !== 'stands') return event.kind !== 'left-out';
  const { standing } = event;
  return standing !== undefined && (standing.waitingCount > 0 || standing.inPages || standing.dying > 0);
}
