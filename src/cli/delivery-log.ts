import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { configuredDeliveryLog, configuredPayloadKeys } from '../config/config.ts';
import type { DeliveryReader } from '../delivery-log/delivery-reader.ts';
import { LOG_FILE } from '../delivery-log/file-log.ts';
import { openDeliveryReader } from '../delivery-log/open-log.ts';
import { sealingWith } from '../temporal/sealed-text.ts';
import { UsageError } from './exit-code.ts';

/** Where `triggers up` keeps its files, unless told otherwise. */
const UP_FOLDER = '.triggers';

/** The delivery log that the configuration names, or else the one of `triggers up` in this folder. @throws UsageError: there is none */
export function configuredReader(): DeliveryReader {
  const sealing = sealingWith(configuredPayloadKeys());
  const configured = configuredDeliveryLog();
  if (configured !== undefined) return openDeliveryReader(configured, sealing);
  if (!existsSync(join(UP_FOLDER, LOG_FILE)))
    throw new UsageError('There is no delivery log: set "deliveryLog" in triggers.config.json (docs/delivery-log.md).');
  return openDeliveryReader({ folder: UP_FOLDER }, sealing);
}
