import { parse, stringify } from 'yaml';
import type { DynamicConfigValue } from '../src/features/local/temporal-server.ts';

export interface ClusterPlaces {
  readonly postgresPort: number;
  /** gRPC and HTTP of the frontend, then gRPC of history, matching, worker and the internal frontend, then the membership ports of these five. */
  readonly ports: readonly number[];
  /** Of dynamic configuration. */
  readonly dynamicConfigFile: string;
}

/** Who may call the frontend: parts of the server's `global` configuration. */
export interface Guard {
  readonly tls?: object;
  readonly authorization?: object;
}

const HOST = '127.0.0.1';
/** Of Temporal. */
export const PORT_COUNT = 11;
/** The server keeps membership ports in its database as 16 bits with a sign. */
export const LARGEST_PORT = 32_767;
/** Few, as on any small installation: each costs the database some polling. */
const SHARDS = 4;

/** The configuration of a Temporal server whose four services are one process, like the server's own `config/development-postgres12.yaml`. */
export function clusterConfig({ postgresPort, ports, dynamicConfigFile }: ClusterPlaces, user: string, guard?: Guard) {
  if (ports.length !== PORT_COUNT) throw new Error(`${PORT_COUNT} ports are needed, not ${ports.length}.`);
  const [grpc, http, history, matching, worker, internal, ...membership] = ports;
  const rpc = (grpcPort: number | undefined, membershipPort: number | undefined) => ({
    rpc: { grpcPort, membershipPort, bindOnLocalHost: true },
  });
  const store = (databaseName: string, maxConns: number) => ({
    sql: {
      pluginName: 'postgres12',
      databaseName,
      connectAddr: `${HOST}:${postgresPort}`,
      connectProtocol: 'tcp',
      user,
      password: user,
      maxConns,
      maxIdleConns: maxConns,
      maxConnLifetime: '1h',
    },
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      numHistoryShards: SHARDS,
      datastores: { default: store('temporal', 20), visibility: store('temporal_visibility', 10) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: HOST }, ...guard },
    services: {
      frontend: { rpc: { ...rpc(grpc, membership[0]).rpc, httpPort: http } },
      history: rpc(history, membership[1]),
      matching: rpc(matching, membership[2]),
      worker: rpc(worker, membership[3]),
      // By which the server's own workers go where the other one asks who they are.
      ...(guard === undefined ? {} : { 'internal-frontend': rpc(internal, membership[4]) }),
    },
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: `${HOST}:${grpc}` },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: { filepath: dynamicConfigFile, pollInterval: '10s' },
  };
}

/**
 * Values as the server's file of dynamic configuration spells them.
 *
 * @param own such a file, whose other settings stay.
 */
export function dynamicConfigLines(values: Readonly<Record<string, DynamicConfigValue>>, own = ''): string {
  const settings = Object.entries(values).map(([name, value]) => [name, [{ value }]]);
  return stringify({ ...(parse(own) as object | null), ...Object.fromEntries(settings) }); // A file of settings, by our own test.
}
