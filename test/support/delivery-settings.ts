import type { DeliverySettings } from '../../src/contract/slice.ts';

/** What a job says of its deliveries that says nothing further. */
export const SETTINGS: DeliverySettings = {
  subscriptionId: '5'.repeat(32),
  revision: 1,
  webhookUrl: 'https://api.example/hook',
  authorization: null,
  exportFields: [],
  userLegacyMessageFormat: false,
  requestTimeoutMs: 15_000,
};
