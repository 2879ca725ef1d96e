import { BlockList, isIPv6 } from 'node:net';
import type { onRequestHookHandler } from 'fastify';

const near = new BlockList();
near.addSubnet('10.0.0.0', 8);
near.addSubnet('127.0.0.0', 8);
near.addSubnet('172.16.0.0', 12);
near.addSubnet('192.168.0.0', 16);
near.addSubnet('fc00::', 7, 'ipv6');
near.addAddress('::1', 'ipv6');

/**
 * A hook that warns once of what looks like a proxy that TRUST_PROXY does not name: behind one, all the world is a single
 * address, and a few dozen wrong passwords anywhere keep everybody out.
 */
export function warnOfUntrustedProxy(trusted: string[]): onRequestHookHandler {
  let isSaid = trusted.length > 0;
  return (request, _reply, done) => {
    if (!isSaid && request.headers['x-forwarded-for'] !== undefined) {
      const { ip } = request;
      if (near.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4')) {
        isSaid = true;
        request.log.warn(
          `X-Forwarded-For of ${ip} is ignored. If that is your proxy, set TRUST_PROXY=${ip}: limits by address would else take all its clients for one.`,
        );
      }
    }
    done();
  };
}
