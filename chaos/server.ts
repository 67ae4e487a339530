import { existsSync, statSync } from 'node:fs';
import {
  type DynamicConfigValue,
  type LocalTemporal,
  startLocalTemporal,
} from '../src/features/local/temporal-server.ts';

/** From the kill of a server until it answered again, in epoch ms. */
export interface Outage {
  readonly what: 'temporal' | 'postgresql';
  readonly fromMs: number;
  readonly toMs: number;
}

/** A Temporal server that can be killed. */
export interface ChaosServer {
  readonly address: string;
  readonly namespace: string;
  /** Of Temporal's process at present. */
  pid(): number;
  /** What can be killed, and is once the others were. */
  readonly parts: readonly Outage['what'][];
  /** Ends a part at once, so that it can write nothing more, starts it again with the same data and ports, and waits until it answers. */
  restart(part: Outage['what']): Promise<Outage>;
  /** Size of the database on disk. */
  databaseBytes(): number;
  stop(): Promise<void>;
}

/** Temporal's development server on a database file. */
export async function startFileServer(
  dbFile: string,
  dynamicConfig: Readonly<Record<string, DynamicConfigValue>>,
): Promise<ChaosServer> {
  let server: LocalTemporal = await startLocalTemporal({ dbFile, dynamicConfig });
  const { address, namespace } = server;
  const port = portOf(`http://${address}`);
  return {
    address,
    namespace,
    pid: () => server.pid,
    parts: ['temporal'],
    restart: async (what) => {
      const fromMs = Date.now();
      process.kill(server.pid, 'SIGKILL');
      await server.gone;
      await server.stop(); // Lets go of what watches it.
      server = await startLocalTemporal({ dbFile, dynamicConfig, port });
      return { what, fromMs, toMs: Date.now() };
    },
    databaseBytes: () => [dbFile, `${dbFile}-wal`].reduce((sum, file) => sum + sizeOf(file), 0),
    stop: () => server.stop(),
  };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function sizeOf(file: string): number {
  return existsSync(file) ? statSync(file).size : 0;
}
