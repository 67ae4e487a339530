// The server terminates a run at 50 MiB, and refuses signals to a run that has had 10,000. A job with a worker continues as new long before
// either; one without a worker must not be pushed to death.
const LOOK_EVERY_BYTES = 4 * 1024 * 1024;
const LOOK_EVERY_SIGNALS = 256;
const FULL_BYTES = 16 * 1024 * 1024;
const FULL_EVENTS = 9_000;

/** Knows when the size of a job's history has to be checked before it is signalled more: at first, and then every few hundred signals. */
export class HistoryWatch {
  #bytesSinceLook = Infinity;
  #signalsSinceLook = 0;

  get mustLook(): boolean {
    return this.#bytesSinceLook >= LOOK_EVERY_BYTES || this.#signalsSinceLook >= LOOK_EVERY_SIGNALS;
  }

  signalled(bytes: number): void {
    this.#bytesSinceLook += bytes;
    this.#signalsSinceLook += 1;
  }

  /** Takes the size of the job's current run; returns true when there is room for more. */
  sees({ bytes, events }: { readonly bytes: number; readonly events: number }): boolean {
    if (bytes > FULL_BYTES || events > FULL_EVENTS) return false;
    this.#bytesSinceLook = 0;
    this.#signalsSinceLook = 0;
    return true;
  }
}
