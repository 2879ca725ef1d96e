/** An SMTP server that takes everything and counts, as its own process. Prints its port, then answers `count` on request. */
import { createServer } from 'node:net';

let taken = 0;
const server = createServer({ noDelay: true }, (socket) => {
  let inData = false;
  let pending = '';
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
        replies += '250 2.0.0 taken\r\n';
        continue;
      }
      const end = pending.indexOf('\r\n');
      if (end < 0) break;
      const verb = pending.slice(0, 4).toUpperCase();
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
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address !== 'string') process.send?.({ port: address.port });
});
process.on('message', () => process.send?.({ taken }));
process.on('disconnect', () => process.exit());
