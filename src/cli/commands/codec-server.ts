import { configuredPayloadKeys, configWarnings } from '../../config/file.ts';
import { ConfigError } from '../../config/problems.ts';
import { command } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { aborted, interruption, listening } from '../terminal.ts';
import { portNumber } from '../options.ts';

const DEFAULT_PORT = 8081;
/** The UI of `triggers up`, under both of its names. */
const UI_ORIGINS = ['http://localhost:8233', 'http://127.0.0.1:8233'];

export const codecServerCommand = command({
  name: 'codec-server',
  description: 'decode and decrypt job data for the Temporal UI and the temporal CLI, until Ctrl-C',
  takes: (it) =>
    it
      .option('--port <port>', 'port to listen on; 0: any free port', portNumber, DEFAULT_PORT)
      .option('--host <address>', 'address to listen on', '127.0.0.1')
      .option('--allow-host <name...>', 'host name of a proxy in front of it; other foreign hosts are refused')
      .option('--ui-origin <origin...>', `origin of the Temporal UI; default: ${UI_ORIGINS.join(', ')}`),
  json: ': one object when it is ready',
  notes: `Each request must carry TRIGGERS_CODEC_TOKEN: at least 16 letters, digits, dots,
dashes, underscores. The codec endpoint to enter in the Temporal UI is
http://localhost:${DEFAULT_PORT}/<token>, see docs/encryption.md.`,
  examples: ['TRIGGERS_CODEC_TOKEN=$(openssl rand -hex 24) triggers codec-server'],
  async run(_args, { port, host, allowHost = [], uiOrigin = UI_ORIGINS }, { note, print }) {
    configWarnings().forEach(note);
    const payloadKeys = configuredPayloadKeys();
    const token = configuredToken();
    const uiOrigins = uiOrigin.map(originOf);
    const allowHosts = allowHost.map(hostName);
    const [{ startCodecServer }, { dataConverterWith }] = await Promise.all([
      import('../../temporal/codec-server.ts'),
      import('../../temporal/data-converter.ts'),
    ]);
    const stop = interruption();
    const { payloadCodecs: codecs = [] } = dataConverterWith(payloadKeys);
    const server = await listening(startCodecServer({ codecs, token, uiOrigins, allowHosts, host, port }), {
      host,
      port,
    });
    // The token is never printed, because output is kept in logs.
    print(
      { url: server.url, uiOrigins },
      () =>
        `Codec server ready: ${server.url}, for the Temporal UI at ${uiOrigins.join(', ')}. Stop it with Ctrl-C.\nIts endpoint for the UI is ${server.url}/<TRIGGERS_CODEC_TOKEN>`,
    );
    await aborted(stop.signal);
    await server.close();
    stop.dispose();
  },
});

function configuredToken(): string {
  const token = process.env['TRIGGERS_CODEC_TOKEN'] ?? '';
  if (/^[\w.-]{16,}$/.test(token)) return token;
  throw new ConfigError(
    'TRIGGERS_CODEC_TOKEN must be at least 16 letters, digits, dots, dashes and underscores. Make one with: openssl rand -hex 24',
  );
}

/** Without a port, which no check compares. */
function hostName(text: string): string {
  if (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)) return text;
  throw new UsageError(`--allow-host must look like codec.example.com, not "${text}".`);
}

/** The origin as a browser writes it. */
function originOf(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text).origin;
  throw new UsageError(`--ui-origin must look like https://temporal.example.com, not "${text}".`);
}
