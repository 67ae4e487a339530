import type { WorkerHealth } from './worker-health.ts';
import { access, constants, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ConnectConfig } from '../client/calls/connect.ts';
import { certificateEnds, expiringOf, tokenEnds } from '../client/calls/expiring.ts';
import type { CoreConfig } from '../config/core-config.ts';
import { codeOf } from '../domain/errors.ts';
import { readPayloadKeys } from '../temporal/encrypting-codec.ts';
import type { Readiness } from './readiness.ts';
import { release } from '../config/release.ts';

export interface DescribedWorker {
  /** As Temporal names it. */
  readonly worker: string;
  readonly config: Pick<CoreConfig, 'payloadKeys' | 'network'>;
  /** Default: no. */
  readonly hasDeliveryLog?: boolean;
  /** The folders that it writes to. */
  readonly folders: readonly string[];
  /** The authorizations in use now. */
  readonly authorizations: CoreConfig['authorizations'];
  /** The fingerprints of these authorizations, by name. */
  readonly fingerprints: WorkerHealth['fingerprints'];
  readonly connection: ConnectConfig;
  readonly readiness: Readiness;
}

/** Returns the answer of a worker to `triggers doctor`. Nothing in it is secret. */
export async function describeWorker(described: DescribedWorker): Promise<WorkerHealth> {
  const {
    worker,
    config,
    hasDeliveryLog = false,
    folders,
    authorizations,
    fingerprints,
    connection,
    readiness,
  } = described;
  const { payloadKeys, network } = config;
  const keys = [...readPayloadKeys(payloadKeys).byId.values()];
  return {
    worker,
    release: release(),
    payloadKeys: keys.flatMap((key) => (key === undefined ? [] : [`${key.id}/${key.check}`])),
    authorizations: Object.keys(authorizations),
    fingerprints,
    hasDeliveryLog,
    problems: await readiness.problems(['source', 'configuration', 'payloadKeys', 'deliveryLog']),
    disks: await Promise.all(folders.map(diskOf)),
    expiring: [
      ...expiringOf(connection),
      ...network.certificateAuthorities.flatMap((pem, i) =>
        certificateEnds(`network.certificateAuthorities[${i}]`, pem),
      ),
      ...Object.entries(authorizations).flatMap(([name, { clientCertificate, bearer }]) => [
        ...certificateEnds(`authorizations.${name}.clientCertificate`, clientCertificate?.certificate ?? ''),
        ...tokenEnds(`authorizations.${name}.bearer`, bearer ?? ''),
      ]),
    ],
    nowMs: Date.now(),
  };
}

/** Room for this folder, which need not exist yet. Exported for its test. */
export async function diskOf(folder: string): Promise<WorkerHealth['disks'][number]> {
  try {
    const { bavail, bsize } = await statfs(folder);
    await access(folder, constants.W_OK);
    return { folder, freeBytes: bavail * bsize };
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    if (code !== 'ENOENT' || dirname(folder) === folder) return { folder, code };
    return { ...(await diskOf(dirname(folder))), folder };
  }
}
