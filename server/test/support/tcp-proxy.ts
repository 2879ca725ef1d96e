/** A way to a server that can be cut, mended, blocked and slowed down. */
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  port: number;
  /** Connections open now. */
  open: () => number;
  /** Ends all connections; new ones are taken. */
  reset: () => void;
  /** Ends all connections and takes none. */
  cut: () => void;
  /** Takes connections again, and lets everything pass at once. What did not pass is gone. */
  mend: () => void;
  /** Leaves connections open, and takes new ones, but lets nothing pass any more. */
  block: () => void;
  /** Like `block`, but only what the server says does not pass. */
  swallowReplies: () => void;
  /** Nothing passes before it is this many milliseconds old. */
  slowDown: (milliseconds: number) => void;
  close: () => Promise<void>;
}

export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let state: 'open' | 'cut' | 'blocked' | 'deaf' = 'open';
  let delay = 0;
  const server = createServer({ noDelay: true }, (client) => {
    if (state === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ ...target, noDelay: true });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => {
        const pass = () => {
          if (state === 'open' || (state === 'deaf' && from === client)) to.write(chunk);
        };
        if (delay === 0) pass();
        else setTimeout(pass, delay);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const reset = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const cut = () => {
    state = 'cut';
    reset();
  };
  return {
    port: address.port,
    open: () => sockets.size / 2,
    reset,
    cut,
    mend: () => {
      state = 'open';
      delay = 0;
    },
    block: () => {
      state = 'blocked';
    },
    swallowReplies: () => {
      state = 'deaf';
    },
    slowDown: (milliseconds) => {
      delay = milliseconds;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
