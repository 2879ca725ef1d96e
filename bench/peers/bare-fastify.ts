/** One route that answers the same JSON to everyone. */
import Fastify from 'fastify';

const answer = JSON.parse(process.env.PEER_ANSWER ?? '{}');
const app = Fastify();
app.get('/auth/me', async () => answer);

const url = await app.listen({ port: 0, host: '127.0.0.1' });
process.send?.({ port: Number(new URL(url).port) });
process.on('disconnect', () => process.exit());
