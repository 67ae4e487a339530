import { command } from '../../cli/command.ts';
import { aborted, interruption, listening } from '../../cli/terminal.ts';
import { answerDelay, answerStatus, portNumber } from '../../cli/options.ts';
import { printable } from '../../domain/text.ts';
import { count } from '../../cli/text.ts';
import type { ReceivedElement, ReceivedRequest } from './receiver.ts';

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
    const { startReceiver } = await import('./receiver.ts');
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

/** One arrival on a line: when, who, what, how many requests were open; exported for its test. */
export function arrivalText({ arrivedAtMs, message, target, inFlight, deliveryId, elements }: ReceivedRequest): string {
  const time = new Date(arrivedAtMs).toISOString().slice(11, 23);
  const id = shortId(deliveryId);
  // A path mostly says which job sent it.
  const sent = target === 'POST /' ? '' : `  ${printable(target.replace(/^POST /, ''))}`;
  if (elements !== undefined)
    return [
      `${time}  a batch of ${elements.length}${sent}  (${inFlight} in flight)${id}`,
      ...elements.slice(0, SHOWN_ELEMENTS).map(elementText),
      ...moreText(elements.length),
    ].join('\n');
  if (message === undefined)
    return `${time}  a request that is not a trigger message${sent}  (${inFlight} in flight)${id}`;
  const { event, user, slug } = message;
  return `${time}  ${event.padEnd(5)}  ${printable(user)}  ${printable(slug)}${sent}  (${inFlight} in flight)${id}`;
}

/** Most elements of a batch that are printed. */
const SHOWN_ELEMENTS = 20;

function moreText(all: number): string[] {
  const more = all - SHOWN_ELEMENTS;
  return more > 0 ? [`${' '.repeat(ARRIVAL_WIDTH)}… and ${count(more)} more`] : [];
}

function elementText({ message, deliveryId }: ReceivedElement): string {
  const indent = ' '.repeat(ARRIVAL_WIDTH);
  if (message === undefined) return `${indent}something that is not a trigger message${shortId(deliveryId)}`;
  const { event, user, slug } = message;
  return `${indent}${event.padEnd(5)}  ${printable(user)}  ${printable(slug)}${shortId(deliveryId)}`;
}

function shortId(deliveryId: string | undefined): string {
  return deliveryId === undefined ? '' : `  ${printable(deliveryId.slice(0, ID_DIGITS))}`;
}

/** Width of 08:30:03.384 and two spaces. */
const ARRIVAL_WIDTH = 14;
/** As many characters as a trace shows: enough to find an id in a log. */
const ID_DIGITS = 12;
