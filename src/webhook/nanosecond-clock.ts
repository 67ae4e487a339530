const DRIFT_MS = 2;

/**
 * Wall-clock time with nanoseconds, as RFC 3339 with an offset, for `meta.timestamp` and `collected`. The monotonic clock supplies the digits that
 * Date lacks, and is set again whenever the two have drifted apart.
 */
export function createNanosecondClock(): () => string {
  let offsetNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  let second = '';
  let secondEpoch = -1;
  return () => {
    let ns = offsetNs + process.hrtime.bigint();
    const wallMs = Date.now();
    if (Math.abs(Number(ns / 1_000_000n) - wallMs) > DRIFT_MS) {
      offsetNs += BigInt(wallMs) * 1_000_000n - ns;
      ns = BigInt(wallMs) * 1_000_000n;
    }
    const epoch = Number(ns / 1_000_000_000n);
    if (epoch !== secondEpoch) {
      secondEpoch = epoch;
      second = new Date(epoch * 1000).toISOString().slice(0, 19);
    }
    return `${second}.${String(ns % 1_000_000_000n).padStart(9, '0')}+00:00`;
  };
}
