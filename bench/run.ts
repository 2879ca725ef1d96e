/**
 * `npm run bench`: starts Posterns of its own on embedded PostgreSQL (fsync on) and what others would use instead,
 * drives all of them through their HTTP door with the same letters into the same SMTP sink, and prints medians of three.
 */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { accepts } from './accepts.ts';
import { backlog } from './backlog.ts';
import { codesBehindBulk, idleCodes } from './code-letters.ts';
import { endToEnd } from './end-to-end.ts';
import { availableGlue } from './glue.ts';
import { history } from './history.ts';
import { identity } from './identity.ts';
import { logins } from './logins.ts';
import { memory } from './memory.ts';
import { oauth } from './oauth.ts';
import { figures, rounds } from './report.ts';
import { sessions } from './sessions.ts';
import { users } from './users.ts';

const help = `npm run bench -- [options]

  --only GROUP,…   one or more of the groups below (default: all)
  --seconds N      length of each load that is measured by time (default 4)
  --letters N      letters that go through in the group memory (default 200000)
  --history N      letters of history (default 1000000; 10000000 take 20 minutes and 25 GB of disk)
  --users N        users and sessions in the group users (default 1000000)
  --bulk N         bulk letters in the group fairness (default 1000000)
  --json FILE      also write the figures to FILE

groups
  identity         time to ready, registrations, tokens of clients
  logins           logins against bare argon2id; GET /auth/me, memory and refusals while 256 and 1,024 log in
  sessions         GET /auth/me against a bare Fastify route and better-auth; refreshes against pgbench
  oauth            tokens of clients against bare ES256 and Fastify and against oidc-provider; introspection; the code flow
  users            logins, GET /auth/me and refreshes with many users and sessions against 1,000
  accepts          POST /emails against the glue
  end-to-end       20,000 letters accepted, delivered, settled, over each queue engine, against the glue and Postfix
  backlog          a worker empties a queue of 200,000, against a bare pipelined SMTP client
  history          accept and claim with much history against an empty database
  code-letter      from a registration until its code is at the sink, idle
  fairness         the same while bulk mail of another tenant waits
  memory           resident memory while letters go through
`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '4' },
    letters: { type: 'string', default: '200000' },
    history: { type: 'string', default: '1000000' },
    users: { type: 'string', default: '1000000' },
    bulk: { type: 'string', default: '1000000' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
const seconds = Number(options.seconds);

const groups: Record<string, () => Promise<void>> = {
  identity: () => identity({ seconds }),
  logins: () => logins({ seconds }),
  sessions: () => sessions({ seconds }),
  oauth: () => oauth({ seconds }),
  users: () => users({ seconds, many: Number(options.users) }),
  accepts: async () => accepts({ seconds, brokers: await availableGlue() }),
  'end-to-end': async () => endToEnd({ letters: 20_000, brokers: await availableGlue() }),
  backlog: () => backlog({ letters: 200_000, seconds }),
  history: () => history({ letters: Number(options.history) }),
  'code-letter': () => idleCodes(),
  fairness: () => codesBehindBulk({ letters: Number(options.bulk) }),
  memory: () => memory({ letters: Number(options.letters) }),
};

if (options.help) {
  console.log(help);
} else {
  const asked = options.only?.split(',') ?? Object.keys(groups);
  const unknown = asked.filter((name) => !(name in groups));
  if (unknown.length > 0) {
    console.error(`There is no group ${unknown.join(', ')}.\n\n${help}`);
    process.exit(2);
  }
  console.log(
    `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; medians of ${rounds}, ${seconds} s each`,
  );
  for (const name of asked) await groups[name]?.();
  if (options.json !== undefined) {
    const machine = { node: process.version, cpus: cpus().length };
    await writeFile(options.json, `${JSON.stringify({ ...machine, seconds, figures }, null, 2)}\n`);
  }
}
