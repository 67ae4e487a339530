import type { DeliverySettings } from '../../contract/slice.ts';
import type { JobRecord } from './job-record.ts';

/** The settings that the requests of a job are made with. */
export function deliverySettings({
  subscriptionId,
  revision,
  definition,
  requestTimeoutMs,
}: Pick<JobRecord, 'subscriptionId' | 'revision' | 'definition' | 'requestTimeoutMs'>): DeliverySettings {
  return {
    subscriptionId,
    revision,
    webhookUrl: definition.webhookUrl,
    authorization: definition.authorization,
    exportFields: definition.exportFields,
    userLegacyMessageFormat: definition.userLegacyMessageFormat,
    requestTimeoutMs,
  };
}
