/** Answer of a job's query `recovery`: a part of a text, which is JSON. */
export interface RecoveryPart {
  readonly v: 1;
  readonly text: string;
  /** How many parts there are. */
  readonly parts: number;
}
