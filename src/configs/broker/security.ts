import { boolean, className, list, long, onlyDefault, password, string } from '../definition.ts'
import { noClasses, noTls, noTokens } from './reasons.ts'

/** Who may do what, TLS and delegation tokens: none of it is built in. */
export const security = () => ({
  'authorizer.class.name': onlyDefault(
    string(
      '',
      'Class that says who may do what. Must stay empty: there are no ACLs here, who can connect may do everything.',
    ),
    'left out: there are no ACLs here, who can connect may do everything',
  ),
  'principal.builder.class': className(
    'org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder',
    'Class that makes a principal of what a connection has authenticated as. No effect here: there is no authorizer to ask about it.',
    'per-broker',
  ),
  'security.providers': string(null, noClasses('Classes with implementations of cryptography.')),
  'delegation.token.expiry.check.interval.ms': long(
    3_600_000,
    { min: 1 },
    noTokens('Milliseconds between two looks for delegation tokens that have run out.'),
  ),
  'delegation.token.expiry.time.ms': long(
    86_400_000,
    { min: 1 },
    noTokens('Milliseconds after which a delegation token has to be renewed.'),
  ),
  'delegation.token.max.lifetime.ms': long(
    604_800_000,
    { min: 1 },
    noTokens('Milliseconds after which a delegation token cannot be renewed any more.'),
  ),
  'delegation.token.secret.key': password(
    noTokens('Secret that delegation tokens are made and checked with.'),
  ),
  'ssl.allow.dn.changes': boolean(
    false,
    noTls('Whether a new certificate may have another subject.'),
  ),
  'ssl.allow.san.changes': boolean(
    false,
    noTls('Whether a new certificate may have other alternative names.'),
  ),
  'ssl.cipher.suites': list(
    '',
    noTls('Cipher suites that are offered; empty: those of the Java runtime.'),
    { update: 'per-broker' },
  ),
  'ssl.client.auth': onlyDefault(
    string(
      'none',
      'Whether clients must show a certificate. Must stay none: TLS is not built in.',
      { update: 'per-broker' },
    ),
    'none: TLS is not built in, so no certificate is asked for',
  ),
  'ssl.enabled.protocols': list('TLSv1.2,TLSv1.3', noTls('TLS versions that are offered.'), {
    update: 'per-broker',
  }),
  'ssl.endpoint.identification.algorithm': string(
    'https',
    noTls("How the name in a server's certificate is checked; empty: not at all."),
    { update: 'per-broker' },
  ),
  'ssl.engine.factory.class': className(
    null,
    noTls('Class that makes TLS connections.'),
    'per-broker',
  ),
  'ssl.key.password': password(noTls('Password of the private key.'), 'per-listener'),
  'ssl.keymanager.algorithm': string('SunX509', noTls('How the Java runtime picks keys.'), {
    update: 'per-broker',
  }),
  'ssl.keystore.certificate.chain': password(
    noTls('Certificate and its chain, in the format that ssl.keystore.type names.'),
    'per-listener',
  ),
  'ssl.keystore.key': password(
    noTls('Private key, in the format that ssl.keystore.type names.'),
    'per-listener',
  ),
  'ssl.keystore.location': string(null, noTls('File with the private key and its certificate.'), {
    update: 'per-listener',
  }),
  'ssl.keystore.password': password(
    noTls('Password of the file with the private key.'),
    'per-listener',
  ),
  'ssl.keystore.type': string('JKS', noTls('Format of the private key and certificate.'), {
    update: 'per-listener',
  }),
  'ssl.principal.mapping.rules': string(
    'DEFAULT',
    noTls("Rules that make a short name of the subject of a client's certificate."),
  ),
  'ssl.protocol': string('TLSv1.3', noTls('TLS version that connections are prepared with.'), {
    update: 'per-broker',
  }),
  'ssl.provider': string(null, noTls("Java's provider of TLS."), { update: 'per-broker' }),
  'ssl.secure.random.implementation': string(
    null,
    noTls("Java's source of random numbers for TLS."),
    { update: 'per-broker' },
  ),
  'ssl.trustmanager.algorithm': string(
    'PKIX',
    noTls('How the Java runtime decides whom to trust.'),
    { update: 'per-broker' },
  ),
  'ssl.truststore.certificates': password(
    noTls('Certificates that are trusted, in the format that ssl.truststore.type names.'),
    'per-listener',
  ),
  'ssl.truststore.location': string(null, noTls('File with the certificates that are trusted.'), {
    update: 'per-listener',
  }),
  'ssl.truststore.password': password(
    noTls('Password of the file with the certificates that are trusted.'),
    'per-listener',
  ),
  'ssl.truststore.type': string('JKS', noTls('Format of the trusted certificates.'), {
    update: 'per-listener',
  }),
})
