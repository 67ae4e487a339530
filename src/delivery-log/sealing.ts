/** How requests and answers are encrypted at rest. */
export interface Sealing {
  /** Undefined: nothing is encrypted. */
  readonly seal: ((text: string) => string) | undefined;
  /** Returns the text itself if it is not encrypted; undefined: its key is not here, or somebody has changed it. */
  readonly open: (text: string) => string | undefined;
}
