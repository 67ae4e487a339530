/** Takes the place of a payload that could not be read: it says why, and nothing throws. */
export interface Undecodable {
  readonly undecodablePayload: string;
}

export function undecodable(reason: string): Undecodable {
  return { undecodablePayload: reason };
}

/** Why a value could not be read; undefined when it could. */
export function undecodableReason(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('undecodablePayload' in value)) return undefined;
  return typeof value.undecodablePayload === 'string' ? value.undecodablePayload : undefined;
}
