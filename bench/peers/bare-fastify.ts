/**
 * Routes that answer the same JSON to everyone: one is asked without a body, one with JSON, and one also signs (ES256) what
 * it answers with, in the way that costs Node the least.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import Fastify from 'fastify';

const answer = JSON.parse(process.env.PEER_ANSWER ?? '{}');
const app = Fastify();
app.get('/auth/me', async () => answer);
app.post('/oauth/token', async () => answer);

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
app.post('/oauth/signed', async () => {
  const signature = sign('sha256', Buffer.from(answer.access_token), privateKey);
  return { ...answer, access_token: answer.access_token + signature.toString('base64url') };
});

const url = await app.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ port: Number(new URL(url).port) });
process.on('message', () => process.connected && process.send?.({ ...process.cpuUsage() }));
process.on('disconnect', () => process.exit());
