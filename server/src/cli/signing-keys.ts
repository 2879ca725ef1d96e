import { removeSigningKey } from '../signing-keys/remove-key.ts';
import { rotateSigningKeys } from '../signing-keys/rotate-keys.ts';
import { readKeys } from '../signing-keys/store.ts';
import { asTable, type Command, withDatabase } from './command.ts';

/** Stands beside the commands of API keys too, as `keys rotate`. */
export const rotateCommand: Command = {
  name: 'signing-keys rotate',
  summary: 'Sign tokens with the next signing keys; those signed before stay good. No API key changes.',
  options: { now: { type: 'boolean', help: 'Also when the next key was published less than 15 minutes ago.' } },
  details:
    'It happens by itself after SIGNING_KEY_DAYS. Programs that verify tokens themselves find keys by\n' +
    '/.well-known/jwks.json; with --now they may have to read it again before they take new tokens.\n' +
    'A key that somebody else may know is removed: postern signing-keys remove --help',
  run: (input) =>
    withDatabase(async (tools) => {
      const rotation = await rotateSigningKeys(tools, { isForced: input.options.now === true });
      const { current, next, retired } = rotation;
      input.print(rotation, `current  ${current}\nnext     ${next}\nretired  ${retired}`);
    }),
};

export const signingKeyCommands: Command[] = [
  {
    name: 'signing-keys list',
    summary: 'List the keys that sign tokens: the current ones, the next, and the retired.',
    details:
      'Keys come and go in twos: an EC key (kid), which signs access tokens, and an RSA key (rsa_kid), which signs the\n' +
      'ID tokens of OpenID Connect.',
    run: ({ print }) =>
      withDatabase(async ({ db }) => {
        const keys = (await readKeys(db)).map(({ kid, keys: [, rsa], state, createdAt, activatedAt, retiredAt }) => ({
          kid,
          state,
          created_at: createdAt,
          activated_at: activatedAt,
          retired_at: retiredAt,
          rsa_kid: rsa?.publicJwk.kid ?? null,
        }));
        print(keys, asTable(keys));
      }),
  },
  rotateCommand,
  {
    name: 'signing-keys remove',
    positionals: 'KID',
    summary: 'Delete a signing key that somebody else may know. Every node refuses its tokens within seconds.',
    details:
      'KID is of either key of two that go together, or "current" or "next". In place of the current ones the next sign\n' +
      'at once. Users whose tokens end refresh them and stay logged in. If the next ones may be known as well, remove\n' +
      'those first.',
    run: ({ positionals, print }) =>
      withDatabase(async (tools) => {
        const removal = await removeSigningKey(tools, positionals[0] ?? '');
        const { current, next, removed, removed_rsa = '' } = removal;
        print(removal, `removed  ${removed} ${removed_rsa}\ncurrent  ${current}\nnext     ${next}`);
      }),
  },
];
