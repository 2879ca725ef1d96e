/** The HTTP side: an ES256 token verified for each request, the body validated, one row inserted, one job added. */
import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { generateKeyPair, jwtVerify, SignJWT } from 'jose';
import postgres from 'postgres';
import { brokerOf } from './mail.ts';

const { GLUE_DATABASE_URL = '', GLUE_BROKER, GLUE_BROKER_URL = '', GLUE_QUEUE = '' } = process.env;
const issuer = 'http://localhost';
const audience = 'mail';

const { publicKey, privateKey } = await generateKeyPair('ES256');
const token = await new SignJWT({ scope: 'email', client_id: 'bench' })
  .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
  .setIssuer(issuer)
  .setAudience(audience)
  .setSubject('bench')
  .setIssuedAt()
  .setExpirationTime('1h')
  .sign(privateKey);

const sql = postgres(GLUE_DATABASE_URL, { max: 20 });
const producer = await (await brokerOf(GLUE_BROKER)).openProducer(GLUE_BROKER_URL, GLUE_QUEUE);
const app = Fastify();

app.addHook('onRequest', async (request, reply) => {
  const [scheme, credential = ''] = request.headers.authorization?.split(' ') ?? [];
  try {
    if (scheme !== 'Bearer') throw new Error('no token');
    const { payload } = await jwtVerify(credential, publicKey, { issuer, audience, algorithms: ['ES256'] });
    if (!String(payload.scope).split(' ').includes('email')) throw new Error('no scope');
  } catch {
    await reply.code(401).send({ error: 'unauthorized' });
  }
});

interface Body {
  from: string;
  to: string;
  subject: string;
  text: string;
}

const address = { type: 'string', format: 'email', maxLength: 254 };
const schema = {
  body: {
    type: 'object',
    required: ['from', 'to', 'subject', 'text'],
    additionalProperties: false,
    properties: {
      from: address,
      to: address,
      subject: { type: 'string', maxLength: 998 },
      text: { type: 'string', maxLength: 1_000_000 },
    },
  },
};

app.post<{ Body: Body }>('/emails', { schema }, async ({ body }, reply) => {
  const id = randomUUID();
  const { from, to, subject, text } = body;
  await sql`
    INSERT INTO mails (id, sender, recipient, subject, body) VALUES (${id}, ${from}, ${to}, ${subject}, ${text})`;
  await producer.add({ id, from, to, subject, text });
  return reply.code(202).send({ id, status: 'queued' });
});

const url = await app.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ port: Number(new URL(url).port), token });
// Nothing is left to be ended well: database and broker are the benchmark's own.
process.on('disconnect', () => process.exit());
