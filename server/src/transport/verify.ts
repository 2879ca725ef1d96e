import { patience } from './patience.ts';
import { openConnection } from './smtp-connection.ts';
import { parseRelay } from './smtp-relay.ts';

/**
 * Connects to a relay as a delivery would, logs in where the URL has a login, and leaves.
 * @throws Error with what failed
 */
export async function verifySmtp(url: string): Promise<void> {
  const connection = await openConnection(parseRelay(url), patience, { timeout: patience.open });
  connection.quit(1_000);
}
