/** Postfix as a relay: `smtp-source` hands it letters over 64 connections, it hands them to the sink over 20. */
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../server/test/support/free-ports.ts';
import { waitFor } from '../server/test/support/wait-for.ts';
import { answers, has } from './machine.ts';
import { median, rounds } from './report.ts';

/** Letters per second, accepted by Postfix and delivered; undefined where this machine cannot run it. */
export async function postfixRates({
  letters,
  sinkPort,
}: {
  letters: number;
  sinkPort: number;
}): Promise<number | undefined> {
  if (!has('postfix') || !has('smtp-source') || process.getuid?.() !== 0) {
    console.log('  (no Postfix on this machine, or not root: Postfix is left out)');
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'postern-bench-postfix-'));
  const [port = 0] = await freePorts(1);
  await configure(folder, port, sinkPort);
  await run('postfix', ['-c', join(folder, 'etc'), 'start']);
  try {
    await waitFor(() => answers(port), { what: 'Postfix to listen' });
    const rates: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const start = performance.now();
      const source = ['-s', '64', '-m', String(letters), '-l', '1024', '-d', '-f', 'bench@example.com'];
      await run('smtp-source', [...source, '-t', 'someone@example.net', `127.0.0.1:${port}`]);
      while (await hasMail(join(folder, 'spool'))) await sleep(50);
      rates.push(letters / ((performance.now() - start) / 1000));
    }
    return median(rates, Number);
  } finally {
    await run('postfix', ['-c', join(folder, 'etc'), 'stop']);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Debian's own settings as far as speed goes; only names, places and the number of connections are ours. */
async function configure(folder: string, port: number, sinkPort: number): Promise<void> {
  await chmod(folder, 0o755);
  for (const name of ['etc', 'spool', 'data']) await mkdir(join(folder, name));
  await run('chown', ['postfix', join(folder, 'data')]);
  await writeFile(
    join(folder, 'etc', 'main.cf'),
    `compatibility_level = 3.6
queue_directory = ${join(folder, 'spool')}
data_directory = ${join(folder, 'data')}
maillog_file = ${join(folder, 'data', 'maillog')}
maillog_file_prefixes = ${folder}
myhostname = relay.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
relayhost = [127.0.0.1]:${sinkPort}
smtp_tls_security_level = none
smtp_destination_concurrency_limit = 20
initial_destination_concurrency = 20
`,
  );
  await writeFile(
    join(folder, 'etc', 'master.cf'),
    `127.0.0.1:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`,
  );
}

async function hasMail(spool: string): Promise<boolean> {
  for (const queue of ['incoming', 'active', 'deferred']) {
    if ((await readdir(join(spool, queue), { recursive: true })).some((name) => /[0-9A-Z]{10}$/.test(name)))
      return true;
  }
  return false;
}

async function run(program: string, args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk) => (errors += chunk));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${errors}`);
}
