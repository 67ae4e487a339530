import { command } from '../command.ts';
import { aborted, interruption, listening } from '../terminal.ts';
import { answerDelay, answerStatus, portNumber } from '../options.ts';
import { arrivalText } from '../render-trace.ts';

const DEFAULT_PORT = 9000;

export const receiveCommand = command({
  name: 'receive',
  description: 'run a webhook receiver that prints what arrives, for trying things out, until Ctrl-C',
  takes: (it) =>
    it
      .option('--port <port>', 'port to listen on; 0: any free port', portNumber, DEFAULT_PORT)
      .option('--status <code>', 'HTTP status of every answer', answerStatus, 200)
      .option('--delay-ms <ms>', 'how long every answer takes', answerDelay, 0),
  json: ': one arrival a line, with its body',
  examples: ['triggers receive --port 9000 --status 503'],
  async run(_args, { port, status, delayMs }, { terminal, print }) {
    const { startReceiver } = await import('../../local/receiver.ts');
    const stop = interruption();
    const starting = startReceiver({
      port,
      delayMs,
      handle: (arrival, body) => {
        print({ ...arrival, body }, () => [arrivalText(arrival)]);
        return { answer: { status } };
      },
    });
    const receiver = await listening(starting, { host: '127.0.0.1', port });
    terminal.err(`Receiving at ${receiver.url} and answering ${status}. Stop with Ctrl-C.`);
    await aborted(stop.signal);
    await receiver.close();
    stop.dispose();
  },
});
