import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isPublicAddress, makeTargetPolicy, mayCall, readNetwork, readTarget } from './target.ts';

const production = makeTargetPolicy({ environment: 'production', webhookPrivateNetworks: [] });
const development = makeTargetPolicy({ environment: 'development', webhookPrivateNetworks: [] });
const inside = makeTargetPolicy({ environment: 'production', webhookPrivateNetworks: ['10.1.0.0/16', 'fd00:1::5'] });

describe('the URL of a webhook (S49)', () => {
  const refused = [
    // loopback, in the spellings that parsers of addresses know
    'https://127.0.0.1/',
    'https://127.1/',
    'https://127.255.255.254/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.0.0.1/',
    'https://0177.0.0.1/',
    'https://017700000001/',
    'https://127.0.0.1./',
    'https://１２７.０.０.１/',
    'https://%31%32%37.0.0.1/',
    'https://0/',
    'https://0.0.0.0/',
    'https://localhost/',
    'https://LOCALHOST./',
    'https://x.localhost/',
    'https://[::1]/',
    'https://[::]/',
    'https://[0:0:0:0:0:0:0:1]:8443/',
    // private, link-local, carrier-grade NAT, multicast, broadcast, reserved
    'https://10.0.0.1/',
    'https://172.16.0.1/',
    'https://172.31.255.255/',
    'https://192.168.1.1/',
    'https://169.254.1.1/',
    'https://100.64.0.1/',
    'https://224.0.0.1/',
    'https://239.255.255.255/',
    'https://255.255.255.255/',
    'https://240.0.0.1/',
    'https://192.0.0.192/',
    'https://198.18.0.1/',
    'https://203.0.113.5/',
    'https://[fc00::1]/',
    'https://[fd12:3456::1]/',
    'https://[fe80::1]/',
    'https://[fec0::1]/',
    'https://[ff02::1]/',
    'https://[2001:db8::1]/',
    'https://[100::1]/',
    'https://[2001:1f0::1]/',
    'https://[3fff::1]/',
    'https://[5f00::1]/',
    'https://[4000::1]/',
    // metadata services of clouds
    'https://169.254.169.254/latest/meta-data/',
    'https://0xa9fea9fe/',
    'https://2852039166/',
    'https://0251.0376.0251.0376/',
    'https://100.100.100.200/',
    'https://168.63.129.16/',
    'https://[fd00:ec2::254]/',
    'https://[fd20:ce::254]/',
    'https://metadata.google.internal/',
    // IPv4 inside IPv6: mapped, compatible, translated, NAT64, local NAT64, 6to4, Teredo
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[::ffff:8.8.8.8]/',
    'https://[::127.0.0.1]/',
    'https://[::7f00:1]/',
    'https://[::ffff:0:127.0.0.1]/',
    'https://[64:ff9b::127.0.0.1]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[64:ff9b:1::a00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[2002:a9fe:a9fe::1]/',
    'https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/',
    // no host of the Internet, no HTTPS, or more than an address
    'https://intranet/',
    'https://printer.local/',
    'http://example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'gopher://example.com/',
    'https://user:secret@example.com/',
    'https://example.com@127.0.0.1/',
    'https://example.com/#part',
    'https://[fe80::1%25eth0]/',
    'https://',
    'example.com',
    '',
  ];
  for (const url of refused) {
    it(`is refused: ${url}`, () => assert.throws(() => readTarget(production, url)));
  }

  it('is taken where it names a host on the Internet, with whatever port and query', () => {
    const taken = [
      'https://example.com/',
      'https://hooks.example.com:8443/a/b?c=d',
      'https://8.8.8.8/',
      'https://[2606:4700::1111]/',
    ];
    for (const url of taken) assert.equal(readTarget(production, url), url);
    assert.equal(readTarget(production, 'https://BÜCHER.example'), 'https://xn--bcher-kva.example/');
  });

  it('may be plain, and of this machine, in development; other private addresses stay closed', () => {
    for (const url of ['http://localhost:3000/x', 'http://127.0.0.1:8080/', 'http://[::1]:1/', 'http://example.com/']) {
      assert.equal(readTarget(development, url), url);
    }
    for (const url of [
      'http://10.0.0.1/',
      'http://169.254.169.254/',
      'http://[::ffff:127.0.0.1]/',
      'http://0.0.0.0/',
    ]) {
      assert.throws(() => readTarget(development, url), url);
    }
  });

  it('may be in networks that the operator has opened, also over plain HTTP, and nowhere else', () => {
    for (const url of ['http://10.1.2.3/', 'https://10.1.2.3/', 'http://[fd00:1::5]/', 'http://app:8080/hooks']) {
      assert.equal(readTarget(inside, url), url);
    }
    for (const url of ['https://10.2.0.1/', 'http://127.0.0.1/', 'http://[fd00:1::6]/', 'http://8.8.8.8/']) {
      assert.throws(() => readTarget(inside, url), url);
    }
  });
});

describe('the address of a connection (S49)', () => {
  it('has to be public, or opened by the operator', () => {
    assert.ok(mayCall(production, '93.184.216.34', true));
    assert.ok(!mayCall(production, '93.184.216.34', false));
    assert.ok(mayCall(development, '93.184.216.34', false));
    assert.ok(mayCall(inside, '10.1.2.3', false));
    assert.ok(!mayCall(inside, '93.184.216.34', false));
    assert.ok(!mayCall(inside, '::ffff:10.1.2.3', false));
    for (const odd of ['', 'example.com', '127.1', 'fe80::1%eth0', '1.2.3.4.5']) {
      assert.ok(!mayCall(production, odd, true), odd);
      assert.ok(!isPublicAddress(odd), odd);
    }
  });

  it('is compared with addresses and ranges, and with nothing else', () => {
    for (const text of ['10.0.0.0/8', '::1', 'fd00::/8', '10.0.0.1']) assert.ok(readNetwork(text));
    for (const text of ['10.0.0.0/33', '127.1', 'localhost', '10/8', '', '/8'])
      assert.throws(() => readNetwork(text), text);
  });
});
