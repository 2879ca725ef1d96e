import type { Secrets } from '../crypto/secrets.ts';
import type { Redis } from './redis.ts';

/** Words to every node that listens just then. They are sealed: what somebody else says there is not heard. */
export function redisChannel(name: string, { redis, secrets }: { redis: Redis; secrets: Secrets }) {
  const channel = redis.name(name);
  const purpose = `channel ${name}`;
  const open = (message: string): string[] => {
    try {
      return JSON.parse(secrets.open(purpose, Buffer.from(message, 'base64')).toString());
    } catch {
      return []; // not of our making
    }
  };
  return {
    publish: (words: readonly string[]) => {
      const message = secrets.seal(purpose, JSON.stringify(words)).toString('base64');
      void redis.ask((client) => client.publish(channel, message));
    },
    subscribe: (onWords: (words: string[]) => void) => redis.subscribe(channel, (message) => onWords(open(message))),
  };
}
