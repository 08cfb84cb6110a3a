import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { InvalidMetadataUrl, parseMetadataUrl } from '../../src/metadata/url.ts'

const test = suite('the address of the metadata')

test('hosts, ports, prefix', () => {
  assert.equal(parseMetadataUrl('etcd://h1:2379,h2,[::1]:23790,[fe80::1%eth0]/odradek/prod'), {
    endpoints: [
      { host: 'h1', port: 2379 },
      { host: 'h2', port: 2379 },
      { host: '::1', port: 23790 },
      { host: 'fe80::1%eth0', port: 2379 },
    ],
    isTls: false,
    user: null,
    prefix: 'odradek/prod',
    shown: 'etcd://h1:2379,h2,[::1]:23790,[fe80::1%eth0]/odradek/prod',
  })
  assert.is(parseMetadataUrl(' etcd://h//a.b_c-1/d/ ').prefix, 'a.b_c-1/d')
})

test('TLS, by the scheme or by a word', () => {
  for (const url of ['etcds://h/p', 'etcd://h/p?tls', 'etcds://h/p?tls']) {
    const { isTls, shown } = parseMetadataUrl(url)
    assert.ok(isTls)
    assert.is(shown, 'etcds://h/p')
  }
})

test('a user and a password of any characters, which is not shown', () => {
  const { user, endpoints, shown } = parseMetadataUrl('etcd://a%40b:p%3A%2F%25@x@h1,h2/p')
  assert.equal(user, { name: 'a@b', password: 'p:/%@x' })
  assert.is(endpoints.length, 2)
  assert.is(shown, 'etcd://a@b@h1,h2/p')
})

const WRONG: Record<string, RegExp> = {
  '': /is not of the form/,
  'h1:2379': /is not of the form/,
  'http://h/p': /starts with http:\/\//,
  'etcd:///p': /lacks a host/,
  'etcd://h1,,h2/p': /lacks a host/,
  'etcd://h1,/p': /lacks a host/,
  'etcd://h:0/p': /has a port that is none: h:0/,
  'etcd://h:65536/p': /has a port that is none/,
  'etcd://h:x/p': /has a host that is none: h:x/,
  'etcd://::1/p': /has a host that is none/,
  'etcd://h': /lacks the prefix/,
  'etcd://h/': /lacks the prefix/,
  'etcd://h//': /lacks the prefix/,
  'etcd://h/a b': /has a prefix of other than/,
  'etcd://h/a//b': /has a prefix of other than/,
  [`etcd://h/${'x'.repeat(201)}`]: /has a prefix of other than/,
  'etcd://h/p?ssl': /ends with \?ssl, and only \?tls is known/,
  'etcd://secret@h/p': /a user without a password/,
  'etcd://:secret@h/p': /a user without a password/,
  'etcd://u:secret%@h/p': /with a % that is no escape/,
  [`etcd://${Array.from({ length: 33 }, () => 'h').join(',')}/p`]: /more than 32 hosts/,
}

test('what is wrong is said, with an example, and never with the password', () => {
  for (const [url, what] of Object.entries(WRONG)) {
    assert.throws(
      () => parseMetadataUrl(url),
      (error: Error) => {
        assert.instance(error, InvalidMetadataUrl)
        assert.match(error.message, what, url)
        assert.match(error.message, 'etcd://h1:2379,h2:2379/odradek/prod')
        return !error.message.includes('secret')
      },
      url,
    )
  }
})

test.run()
