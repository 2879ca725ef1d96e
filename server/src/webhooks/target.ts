/**
 * Where a webhook may go (S49). Its URL comes from a tenant and is called from inside the operator's network, so by
 * default only public addresses are called, over HTTPS. The URL is judged when it is saved, so that mistakes are told at
 * once; what protects is that `send.ts` asks again for the very address of each connection.
 */
import { Resolver } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;
export type Network = [Address, number];

export interface TargetPolicy {
  /** Whether public hosts may be called over plain HTTP. */
  allowsHttp: boolean;
  /** What may be called although it is not public, with or without TLS. */
  privateNetworks: Network[];
}

const loopback = ['127.0.0.0/8', '::1/128'];

export function makeTargetPolicy({
  environment,
  webhookPrivateNetworks: given,
}: {
  environment: 'development' | 'production';
  webhookPrivateNetworks: string[];
}): TargetPolicy {
  const isDevelopment = environment === 'development';
  const networks = given.length === 0 && isDevelopment ? loopback : given;
  return { allowsHttp: isDevelopment, privateNetworks: networks.map(readNetwork) };
}

/** @throws Error whose message completes the name of a setting */
export function readNetwork(text: string): Network {
  const [address = '', prefix] = text.split('/');
  try {
    if (isIP(address) === 0) throw new Error('no address');
    const parsed = ipaddr.parse(address);
    return prefix === undefined ? [parsed, parsed.kind() === 'ipv4' ? 32 : 128] : ipaddr.parseCIDR(text);
  } catch {
    throw new Error(`must hold addresses or CIDR ranges, not ${text}`);
  }
}

// Reached from everywhere inside Azure, and there it hands out the machine's secrets, though it is a public address.
const azurePlatform = '168.63.129.16';
// What IANA has given out so far. The library takes for unicast whatever it does not know, `::7f00:1` (127.0.0.1) too.
const globalUnicast = ipaddr.parseCIDR('2000::/3');

/**
 * Whether this is the address of some host on the Internet. IPv6 forms that hold an IPv4 address (mapped, compatible,
 * NAT64, 6to4) are not, whichever it is: nobody publishes a service under them.
 */
export function isPublicAddress(text: string): boolean {
  if (isIP(text) === 0 || text.includes('%')) return false;
  const address = ipaddr.parse(text);
  if (address.range() !== 'unicast') return false;
  if (address.kind() === 'ipv4') return text !== azurePlatform;
  return within(globalUnicast, address);
}

export function mayCall({ allowsHttp, privateNetworks }: TargetPolicy, address: string, isEncrypted: boolean): boolean {
  if (isIP(address) === 0 || address.includes('%')) return false;
  const parsed = ipaddr.parse(address);
  if (privateNetworks.some((network) => within(network, parsed))) return true;
  return (isEncrypted || allowsHttp) && isPublicAddress(address);
}

function within([network, prefix]: Network, address: Address): boolean {
  return address.kind() === network.kind() && address.match(network, prefix);
}

/**
 * Reads the URL of an endpoint, in the form WHATWG URLs have: `https://0x7f.1/` is then `https://127.0.0.1/`.
 * @throws Error with a sentence for the caller
 */
export function readTarget(policy: TargetPolicy, text: string): string {
  if (!URL.canParse(text)) throw new Error('must be a URL beginning with https://');
  const url = new URL(text);
  const isEncrypted = url.protocol === 'https:';
  const mayBePlain = policy.allowsHttp || policy.privateNetworks.length > 0;
  if (!isEncrypted && !(mayBePlain && url.protocol === 'http:')) throw new Error('must begin with https://');
  if (url.username !== '' || url.password !== '') {
    throw new Error('must not hold a user name or password; the signature says who is calling');
  }
  if (url.hash !== '') throw new Error('must not hold a fragment');
  const host = hostOf(url);
  if (isIP(host) !== 0) {
    if (!mayCall(policy, host, isEncrypted)) {
      throw new Error(
        mayCall(policy, host, true) ? 'must begin with https://' : 'names an address that webhooks may not call',
      );
    }
  } else if (!mayBePublicName(host) && policy.privateNetworks.length === 0) {
    throw new Error('names a host that is not on the Internet');
  }
  return url.href;
}

/** Without the brackets of IPv6. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function mayBePublicName(host: string): boolean {
  const name = host.replace(/\.$/, '');
  return name.includes('.') && !/(^|\.)(localhost|local|internal|home\.arpa)$/.test(name);
}

export type Resolve = (host: string) => Promise<string[]>;

/**
 * The addresses of a name. Name servers are asked directly: getaddrinfo() would wait on Node's thread pool, where a few
 * endpoints whose names hang would hold up the signing of tokens. Only for names that no server knows (of the hosts
 * file, or relative to a search domain) it is asked after all.
 */
export async function resolveHost(host: string): Promise<string[]> {
  const found = await Promise.all([query(host, 'resolve4'), query(host, 'resolve6')]);
  const addresses = found.flat();
  if (addresses.length > 0) return addresses;
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

const absent = new Set(['ENOTFOUND', 'ENODATA', 'NOTFOUND', 'NODATA', 'EREFUSED', 'ECONNREFUSED']);

function query(host: string, kind: 'resolve4' | 'resolve6'): Promise<string[]> {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  return new Promise((resolve, reject) => {
    resolver[kind](host, (error, addresses) => {
      if (!error) resolve(addresses);
      else if (absent.has(error.code ?? '')) resolve([]);
      else reject(error);
    });
  });
}
