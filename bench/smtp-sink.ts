/**
 * An SMTP server that takes everything, as its own process. Says its port first; `count` asks how many letters it took,
 * `time ADDRESS` when it took the letter to an address (the clock of process.hrtime, one for all processes, in nanoseconds).
 */
import { createServer } from 'node:net';

let taken = 0;
const keepsTimes = process.env.KEEP_TIMES === '1';
const times: Record<string, string> = {};
const server = createServer({ noDelay: true }, (socket) => {
  let inData = false;
  let pending = '';
  let recipient = '';
  socket.setEncoding('latin1');
  socket.write('220 sink ESMTP\r\n');
  socket.on('error', () => {});
  socket.on('data', (chunk: string) => {
    pending += chunk;
    let replies = '';
    for (;;) {
      if (inData) {
        const dot = pending.indexOf('\r\n.\r\n');
        if (dot < 0) break;
        pending = pending.slice(dot + 5);
        inData = false;
        taken++;
        if (keepsTimes) times[recipient] = String(process.hrtime.bigint());
        replies += '250 2.0.0 taken\r\n';
        continue;
      }
      const end = pending.indexOf('\r\n');
      if (end < 0) break;
      const verb = pending.slice(0, 4).toUpperCase();
      if (verb === 'RCPT') recipient = pending.slice(pending.indexOf('<') + 1, pending.indexOf('>'));
      pending = pending.slice(end + 2);
      if (verb === 'EHLO') replies += '250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 52428800\r\n';
      else if (verb === 'DATA') {
        inData = true;
        replies += '354 go on\r\n';
        // The terminator may follow an empty body at once.
        pending = `\r\n${pending}`;
      } else if (verb === 'QUIT') {
        socket.end(`${replies}221 bye\r\n`);
        return;
      } else replies += '250 ok\r\n';
    }
    if (replies !== '') socket.write(replies);
  });
});
server.listen(Number(process.env.SINK_PORT ?? 0), '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address !== 'string') process.send?.({ port: address.port });
});
process.on('message', (question) => {
  const [what, address = ''] = String(question).split(' ');
  if (process.connected) process.send?.(what === 'time' ? { at: times[address] } : { taken });
});
process.on('disconnect', () => process.exit());
