import { runAgainst, SCENARIOS } from '../test/domain/job/a-picky-endpoint.ts';

// A job against endpoints that refuse some people for good, or everybody for a while: the table in docs/guarantees.md. No server, no chance, some seconds.

const shown = (seconds: number): string =>
  seconds === Infinity ? 'never' : seconds < 10 ? seconds.toFixed(1) : `${Math.round(seconds)}`;

for (const scenario of SCENARIOS) {
  const { name, delivered, deliverable, longestS, mostS, dead, wrongDead, wasted } = runAgainst(scenario);
  console.log(
    `| ${name} | ${delivered} of ${deliverable} | ${shown(mostS)} | ${shown(longestS)} | ${dead} | ${wrongDead} | ${wasted} |`,
  );
}
