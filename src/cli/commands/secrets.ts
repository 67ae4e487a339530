import { newPayloadKey, newSigningSecret } from '../../config/references.ts';
import { command, commandGroup } from '../command.ts';
import { UsageError } from '../exit-code.ts';
import { sentences } from '../text.ts';

export const secretsCommand = commandGroup({
  name: 'secrets',
  description: 'secrets for webhooks and for Temporal',
  parts: [
    command({
      name: 'new',
      description: 'make a signing secret (Standard Webhooks), or a payload key; it is stored nowhere',
      takes: (it) =>
        it
          .option('--ed25519', 'a pair of keys: the receiver gets only the public one')
          .option(
            '--payload-key',
            'a key that encrypts what is in Temporal (docs/encryption.md), with this month as its id',
          ),
      notes: 'The secret goes to standard output, what to do with it to standard error.',
      examples: ['triggers secrets new > crm-signing-secret'],
      run(_args, { ed25519, payloadKey }, { terminal, json, print }) {
        if (ed25519 === true && payloadKey === true)
          throw new UsageError('Use either --ed25519 or --payload-key, not both.');
        const { made, advice } =
          payloadKey === true ? aPayloadKey() : aSigningSecret(ed25519 === true ? 'ed25519' : 'hmac');
        // A secret is one word: what breaks it would spoil it.
        print(made, () => [made.secret]);
        if (!json) terminal.err(sentences(advice, terminal));
      },
    }),
  ],
  examples: ['triggers secrets new'],
});

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
