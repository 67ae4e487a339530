import { Command } from '@commander-js/extra-typings';
import { type Arrival, arrivalText } from '../arrival-text.ts';
import { answerStatus, portNumber, wholeNumber } from '../job-options.ts';
import { listening } from '../listening.ts';
import { aborted, interruption, type Terminal } from '../terminal.ts';

const DEFAULT_PORT = 9000;

export function receiveCommand(terminal: Terminal) {
  return new Command('receive')
    .description('run a webhook receiver that prints what arrives, for trying things out, until Ctrl-C')
    .option('--port <port>', 'where to listen on this machine; 0: a free one', portNumber, DEFAULT_PORT)
    .option('--status <code>', 'HTTP status of every answer', answerStatus, 200)
    .option('--delay-ms <ms>', 'how long every answer takes', wholeNumber, 0)
    .option('--json', 'print JSON for machines: one arrival a line, with its body')
    .addHelpText(
      'after',
      `
Example:
  triggers receive --port 9000 --status 503`,
    )
    .action(async ({ port, status, delayMs, json }) => {
      const { startReceiver } = await import('../../local/receiver.ts');
      const stop = interruption();
      const starting = startReceiver({
        port,
        delayMs,
        ledger: 'sums',
        answer: () => ({ status }),
        onArrival: (arrival: Arrival, body: string) =>
          terminal.out(json === true ? JSON.stringify({ ...arrival, body }) : arrivalText(arrival)),
      });
      const receiver = await listening(starting, { host: '127.0.0.1', port });
      terminal.err(`Receiving at ${receiver.url} and answering ${status}. Stop with Ctrl-C.`);
      await aborted(stop.signal);
      await receiver.close();
      stop.dispose();
    });
}
