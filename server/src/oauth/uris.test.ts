import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { redirectUriFault, resourceFault, webUriFault } from './uris.ts';

describe('redirect URIs', () => {
  it('may be https, and http on loopback', () => {
    for (const uri of [
      'https://shop.example',
      'https://shop.example/cb?from=postern&x=%20',
      'HTTPS://shop.example:8443/cb',
      'http://localhost:5173/cb',
      'http://127.0.0.1/cb',
      'http://[::1]:1/cb',
    ]) {
      assert.equal(redirectUriFault(uri, 'web'), undefined, uri);
    }
  });

  it('may have a private-use scheme where the application is native', () => {
    for (const uri of [
      'com.example.app:/cb',
      'com.example.app://cb/x',
      'http://127.0.0.1:49152/',
      'https://a.example/',
    ]) {
      assert.equal(redirectUriFault(uri, 'native'), undefined, uri);
    }
    assert.match(redirectUriFault('com.example.app:/cb', 'web') ?? '', /needs application_type native/);
    assert.match(redirectUriFault('https://localhost/cb', 'native') ?? '', /must be http/);
  });

  it('are refused where anybody could read along, or browsers would read something else', () => {
    for (const uri of [
      '',
      'shop.example/cb',
      '/cb',
      '//shop.example/cb',
      'http://shop.example/cb',
      'http://127.0.0.2/cb',
      'http://localhost.evil.example/cb',
      'http://[::2]/cb',
      'https://shop.example/cb#',
      'https://shop.example/cb#x',
      'https://user@shop.example/',
      'https://user:password@shop.example/',
      'https://@shop.example/',
      'com.example.app://user@cb/',
      'https:shop.example/cb',
      'https:/shop.example/cb',
      'https:///shop.example/cb',
      'https://shop.example\\@evil.example/',
      'https:\\\\shop.example/',
      ' https://shop.example/',
      'https://shop.example/\n',
      'https://sh\top.example/',
      'https://shöp.example/',
      'https://shop.example/<script>',
      'javascript:alert(1)',
      'JavaScript://shop.example/%0aalert(1)',
      'data:text/html,x',
      'vbscript:x',
      'file:///etc/passwd',
      'blob:https://shop.example/x',
      'about:blank',
      'ftp://shop.example/',
      'ws://shop.example/',
      'myapp:/cb',
      `https://shop.example/${'a'.repeat(2000)}`,
    ]) {
      for (const type of ['web', 'native'] as const) {
        assert.equal(typeof redirectUriFault(uri, type), 'string', `${type} ${uri}`);
      }
    }
  });
});

describe('other URIs of a client', () => {
  it('are pages, documents, or names of resources', () => {
    assert.equal(webUriFault('http://shop.example/', { isFetched: false }), undefined);
    assert.equal(typeof webUriFault('http://shop.example/', { isFetched: true }), 'string');
    assert.equal(webUriFault('http://localhost:1/jwks', { isFetched: true }), undefined);
    assert.equal(typeof webUriFault('javascript:alert(1)', { isFetched: false }), 'string');
    assert.equal(resourceFault('https://api.example/v1'), undefined);
    assert.equal(resourceFault('urn:example:api'), undefined);
    assert.equal(typeof resourceFault('https://api.example/#x'), 'string');
    assert.equal(typeof resourceFault('api'), 'string');
  });
});
