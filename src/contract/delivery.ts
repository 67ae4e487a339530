import type { Method } from './request-shape.ts';

/** Why a trigger was sent. */
export type DeliveryLane = 'live' | 'backfill' | 'redelivery' | 'replay';

/** An endpoint's answer as people may see it. */
export interface ShownAnswer {
  /** At most 4 KiB; a value that may be secret is `…`. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** At most 1 KiB. */
  readonly body: string;
}

/** A request as people may see it. */
export interface ShownRequest {
  readonly method: Method;
  /**
   * Masked as everywhere: without its path and the values of its query. If the URL is a template, the parts made from values are shown, and the
   * template's own text is not.
   */
  readonly url: string;
  /** In order, as [name, value]; a value that may be secret is `…`. Headers of the connection (`host`, `content-length`) are not included. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Byte for byte as it is sent, up to 256 KiB (an eighth of the server's payload limit, where that is lower than usual). */
  readonly body: string;
  /** Bytes of the whole body. */
  readonly bodyBytes: number;
}

/** A request and its answer, as people may see them. */
export interface Exchange {
  /** Absent: bodies are not kept. Its body has at most 64 KiB. */
  readonly request?: ShownRequest;
  /** Absent: there was no answer. */
  readonly response?: ShownAnswer;
}
