import { newApiKey, newPayloadKey, newSigningSecret } from '../../config/references.ts';
import { command, commandGroup } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { sentences } from '../text.ts';

export const secretsCommand = commandGroup({
  name: 'secrets',
  description: 'secrets for webhooks, for Temporal and for the HTTP API',
  parts: [
    command({
      name: 'new',
      description: 'make a signing secret (Standard Webhooks), a payload key or an API key, without storing it',
      takes: (it) =>
        it
          .option('--ed25519', 'a pair of keys: the receiver gets only the public one')
          .option(
            '--payload-key',
            'a key that encrypts what is in Temporal (docs/encryption.md), with this month as its id',
          )
          .option('--api-key', 'a key for programs that use the HTTP API (docs/api.md); only its hash is configured'),
      notes: 'The secret goes to standard output, and instructions go to standard error.',
      examples: ['triggers secrets new > crm-signing-secret'],
      run(_args, { ed25519, payloadKey, apiKey }, { terminal, json, print }) {
        if ([ed25519, payloadKey, apiKey].filter((isGiven) => isGiven === true).length > 1)
          throw new UsageError('Use one of --ed25519, --payload-key and --api-key.');
        const { made, advice } = newSecret({ ed25519, payloadKey, apiKey });
        // A secret is one word: wrapping it would damage it.
        print(made, () => [made.secret]);
        if (json) return;
        terminal.err(sentences(advice, terminal));
        if (made.hash !== undefined) terminal.err(`{"hash": "${made.hash}", "may": ["trigger"]}`);
      },
    }),
  ],
  examples: ['triggers secrets new'],
});

interface SecretKind {
  readonly ed25519?: true | undefined;
  readonly payloadKey?: true | undefined;
  readonly apiKey?: true | undefined;
}

interface Made {
  readonly made: { readonly secret: string; readonly publicKey?: string; readonly hash?: string };
  readonly advice: string;
}

function newSecret({ ed25519, payloadKey, apiKey }: SecretKind): Made {
  if (payloadKey === true) return aPayloadKey();
  if (apiKey === true) return anApiKey();
  return aSigningSecret(ed25519 === true ? 'ed25519' : 'hmac');
}

function anApiKey() {
  const made = newApiKey();
  const advice = 'It is shown this once. Put its hash into the configuration, in "apiKeys" under a name of yours:';
  return { made, advice };
}

function aSigningSecret(kind: 'hmac' | 'ed25519') {
  const made = newSigningSecret(kind);
  const where = "Put it into the worker's configuration, under signingSecrets of an authorization";
  const advice =
    made.publicKey === undefined
      ? `${where}, and give it to the receiver.`
      : `${where}. Give the receiver\n${made.publicKey}`;
  return { made, advice };
}

function aPayloadKey() {
  const advice =
    'Give it to every worker and client as TRIGGERS_PAYLOAD_KEYS, or under payloadKeys. If you lose it, you lose the jobs: keep a copy where your other secrets are.';
  return { made: newPayloadKey(new Date().toISOString().slice(0, 'YYYY-MM'.length)), advice };
}
