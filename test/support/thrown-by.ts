/** What a call throws; what it returns if it does not. */
export function thrownBy(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}
