import { openConnection, parseRelay } from './smtp-connection.ts';

/**
 * Connects to a relay as a delivery would, logs in where the URL has a login, and leaves.
 * @throws Error with what failed
 */
export async function verifySmtp(url: string): Promise<void> {
  const connection = await openConnection(parseRelay(url));
  connection.removeAllListeners('error');
  connection.on('error', () => {});
  connection.quit();
}
