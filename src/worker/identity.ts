import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

/** This process, for people. */
export const THIS_WORKER = `${process.pid}@${hostname()}`;

/** A new name for a worker of this process, by which Temporal and the delivery log know it. */
export function newIdentity(worker = THIS_WORKER): string {
  return `${worker} ${new Date().toISOString()}/${randomUUID().slice(0, 8)}`;
}

/** When the worker of this name began; undefined: it is of an earlier release, or no worker. */
export function startOf(identity: string): string | undefined {
  return / (\d{4}-\d\d-\d\dT[\d:.]+Z)\//.exec(identity)?.[1];
}
