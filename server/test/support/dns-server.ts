/** A real DNS server that knows the TXT records a test gives it, and answers NXDOMAIN to everything else. */
import { createSocket } from 'node:dgram';

export interface DnsServer {
  /** For DNS_SERVERS. */
  address: string;
  /** By name, in lower case; null is answered with SERVFAIL. */
  records: Map<string, string[] | null>;
  close: () => Promise<void>;
}

const TXT = 16;

export async function startDnsServer(): Promise<DnsServer> {
  const records: DnsServer['records'] = new Map();
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => socket.send(answerTo(query, records), from.port, from.address));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${socket.address().port}`,
    records,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function answerTo(query: Buffer, records: DnsServer['records']): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const question = query.subarray(12, at + 5);
  const found = records.get(labels.join('.').toLowerCase());
  const texts = query.readUInt16BE(at + 1) === TXT ? (found ?? []) : [];
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  const code = found === null ? 2 : found === undefined ? 3 : 0;
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(texts.length, 6);
  return Buffer.concat([header, question, ...texts.map(txtRecord)]);
}

function txtRecord(text: string): Buffer {
  // Strings hold 255 octets each.
  const strings = (text.match(/[\s\S]{1,255}/g) ?? ['']).map((one) =>
    Buffer.from(`${String.fromCharCode(one.length)}${one}`, 'latin1'),
  );
  const data = Buffer.concat(strings);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(TXT, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
