import { existsSync } from 'node:fs';
import { NoDeliveryLog } from '../../client/calls/errors.ts';
import { configuredDeliveryLog } from './config.ts';
import { configuredPayloadKeys } from '../../config/file.ts';
import { type DeliveryLogConfig, deliveryLogIn } from './config.ts';
import type { DeliveryReader } from './delivery-reader.ts';
import { type LogPlace, openDeliveryReader, openPersonRemoval, readableLog } from './open-log.ts';
import type { PersonRemoval } from './person-removal.ts';
import { sealingWith } from '../../temporal/sealed-text.ts';

/** Where `triggers up` keeps its files, unless told otherwise. */
const UP_FOLDER = '.triggers';

/**
 * Reads the delivery log that the configuration names, or else the one of `triggers up` in this folder.
 * @throws NoDeliveryLog, DeliveryLogError
 */
export async function withDeliveryLog<T>(use: (reader: DeliveryReader) => Promise<T>): Promise<T> {
  const reader = configuredReader();
  if (reader === undefined) throw new NoDeliveryLog();
  try {
    return await use(reader);
  } finally {
    await reader.close();
  }
}

/** The same log; undefined: there is none. */
export function configuredReader(): DeliveryReader | undefined {
  const place = configuredPlace();
  return place && openDeliveryReader(place, configuredSealing());
}

export function hasDeliveryLog(): boolean {
  return configuredPlace() !== undefined;
}

/** To remove people from the same log; undefined: there is none. */
export function configuredRemoval(): PersonRemoval | undefined {
  const place = configuredPlace();
  return place && openPersonRemoval(place);
}

/** Encrypts what the log keeps, and makes digests, by the configured keys. */
export function configuredSealing() {
  return sealingWith(configuredPayloadKeys());
}

/** It is then read, and removed from, only there. */
export function isLogInCollector(): boolean {
  return configuredLog()?.otlp !== undefined;
}

function configuredPlace(): LogPlace | undefined {
  return readableLog(configuredLog());
}

/** The log to write to, which need not be one that can be read; undefined: there is none. */
export function configuredLog(): DeliveryLogConfig | undefined {
  return configuredDeliveryLog() ?? (existsSync(UP_FOLDER) ? deliveryLogIn(UP_FOLDER) : undefined);
}
