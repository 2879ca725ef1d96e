/** Two routes that answer the same JSON to everyone: one is asked without a body, one with JSON. */
import Fastify from 'fastify';

const answer = JSON.parse(process.env.PEER_ANSWER ?? '{}');
const app = Fastify();
app.get('/auth/me', async () => answer);
app.post('/oauth/token', async () => answer);

const url = await app.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ port: Number(new URL(url).port) });
process.on('message', () => process.connected && process.send?.({ ...process.cpuUsage() }));
process.on('disconnect', () => process.exit());
