import type { Client } from '@temporalio/client';
import { jobDefinitionSchema } from '../../src/contract/export-job.ts';
import type { PreparedJob } from '../../src/contract/ports.ts';
import { RIGHT } from '../contract/a-mistake.ts';

/**
 * A client whose worker likes whatever it is told, as far as the form allows, and knows the rest by itself. `told` is what left the client. What is
 * refused all the same is refused by the client.
 */
export function anEasyWorker() {
  const told: unknown[] = [];
  const client = {
    workflow: {
      start: async (_type: string, { args }: { args: readonly unknown[] }) => {
        told.push(args[1]);
        return { workflowId: 'check', result: async (): Promise<PreparedJob> => answerTo(args[1]) };
      },
    },
    withDeadline: async (_deadline: number, call: () => Promise<unknown>) => await call(),
  };
  return { told, client: client as unknown as Client }; // All that `prepare` uses of one.
}

function answerTo(told: unknown): PreparedJob {
  const { label, audiences, webhookUrl, authorization } = RIGHT;
  const { success, data } = jobDefinitionSchema.safeParse({
    label,
    audiences,
    webhookUrl,
    authorization,
    ...Object(told),
  });
  if (!success) return { ok: false, problems: [{ field: 'form', message: 'The worker found it wrong.' }] };
  return { ok: true, definition: data, audiences: [], warnings: [] } as unknown as PreparedJob; // What is looked at.
}

/** A client whose workflows all have this handle: what questions and commands use of one. */
export function clientWith(handle: object, more: object = {}): Client {
  const client = {
    options: { namespace: 'default' },
    workflow: { getHandle: () => handle },
    workflowService: { describeTaskQueue: async () => await Promise.resolve({ pollers: [] }) },
    withDeadline: async (_: number, call: () => Promise<unknown>) => await call(),
    withAbortSignal: async (_: AbortSignal, call: () => Promise<unknown>) => await call(),
    ...more,
  };
  return client as unknown as Client; // All that is used of it.
}

/** A client that must not be used: what is wrong is refused before anybody is asked. */
export const NOBODY = new Proxy({} as Client, {
  get: (_, name) => {
    throw new ServerAsked(String(name));
  },
});

/** Something was about to be asked of the server. */
export class ServerAsked extends Error {}
