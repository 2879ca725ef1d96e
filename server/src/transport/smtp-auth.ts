/** Logging in (RFC 4954) by PLAIN (RFC 4616), LOGIN, or XOAUTH2, where the password is an access token. */
import type { Relay } from './smtp-relay.ts';
import type { ServerReply } from './smtp-replies.ts';

/** Sends a line and gives the reply to it. */
export type Ask = (line: string) => Promise<ServerReply>;

/** RFC 4954 4: an initial response must fit into a command line (RFC 5321 4.5.3.1.4), or wait to be asked for. */
const maxCommandLength = 510;

/**
 * Tries the mechanisms that both sides know, until the server has an opinion on the login itself.
 * @returns its last reply; 235 where it lets us in, undefined where no mechanism fits
 */
export async function logIn(
  ask: Ask,
  { user, pass, mechanism }: Relay,
  offered: readonly string[],
): Promise<ServerReply | undefined> {
  // A token is no password: it goes to a server only where that was asked for.
  const wanted = mechanism ? [mechanism] : ['PLAIN', 'LOGIN'];
  let reply: ServerReply | undefined;
  for (const name of wanted.filter((one) => offered.includes(one))) {
    if (name === 'LOGIN') reply = await askInTurn(ask, ['AUTH LOGIN', encode(user), encode(pass)]);
    else if (name === 'PLAIN') reply = await askAtOnce(ask, 'AUTH PLAIN', encode(`\0${user}\0${pass}`));
    else reply = await askAtOnce(ask, 'AUTH XOAUTH2', encode(`user=${user}\x01auth=Bearer ${pass}\x01\x01`));
    // 500 to 504 are about the mechanism; everything else is about the login.
    if (reply.code < 500 || reply.code > 504) return reply;
  }
  return reply;
}

async function askAtOnce(ask: Ask, command: string, response: string): Promise<ServerReply> {
  const line = `${command} ${response}`;
  const reply = line.length <= maxCommandLength ? await ask(line) : await askInTurn(ask, [command, response]);
  // XOAUTH2 explains a refusal in a challenge, and an empty answer fetches the refusal itself.
  return reply.code === 334 ? ask('') : reply;
}

/** Sends one line after the other while the server asks for more. */
async function askInTurn(ask: Ask, [first = '', ...others]: string[]): Promise<ServerReply> {
  let reply = await ask(first);
  for (const line of others) if (reply.code === 334) reply = await ask(line);
  return reply;
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}
