import {
  boolean,
  className,
  double,
  int,
  list,
  long,
  oneOf,
  password,
  short,
  string,
} from '../definition.ts'
import { noSasl } from './reasons.ts'

/** SASL, which is not built in. */
export const sasl = () => ({
  'sasl.client.callback.handler.class': className(
    null,
    noSasl("Class that answers SASL's questions where the broker is a client."),
  ),
  'sasl.enabled.mechanisms': list('GSSAPI', noSasl('SASL mechanisms that clients may use.'), {
    update: 'per-broker',
  }),
  'sasl.jaas.config': password(
    noSasl("Login modules and their secrets, in Java's JAAS format."),
    'per-broker',
  ),
  'sasl.kerberos.kinit.cmd': string(
    '/usr/bin/kinit',
    noSasl('Path of the program that gets Kerberos tickets.'),
    { update: 'per-broker' },
  ),
  'sasl.kerberos.min.time.before.relogin': long(
    60_000,
    {},
    noSasl('Least time between two renewals of a Kerberos ticket, in ms.'),
    'per-broker',
  ),
  'sasl.kerberos.principal.to.local.rules': list(
    'DEFAULT',
    noSasl('Rules that make a short name of a Kerberos principal.'),
    { update: 'per-broker' },
  ),
  'sasl.kerberos.service.name': string(null, noSasl("Name of the broker's Kerberos service."), {
    update: 'per-broker',
  }),
  'sasl.kerberos.ticket.renew.jitter': double(
    0.05,
    {},
    noSasl('Random part of the time to a renewal of a Kerberos ticket.'),
    'per-broker',
  ),
  'sasl.kerberos.ticket.renew.window.factor': double(
    0.8,
    {},
    noSasl('Part of its life after which a Kerberos ticket is renewed.'),
    'per-broker',
  ),
  'sasl.login.callback.handler.class': className(
    null,
    noSasl('Class that answers the questions of a login.'),
  ),
  'sasl.login.class': className(null, noSasl('Class that logs in.')),
  'sasl.login.connect.timeout.ms': int(
    null,
    {},
    noSasl('Milliseconds to wait for a connection to the provider of OAuth tokens.'),
  ),
  'sasl.login.read.timeout.ms': int(
    null,
    {},
    noSasl('Milliseconds to wait for the provider of OAuth tokens to answer.'),
  ),
  'sasl.login.refresh.buffer.seconds': short(
    300,
    {},
    noSasl('Seconds before its end by which a credential is renewed.'),
    'per-broker',
  ),
  'sasl.login.refresh.min.period.seconds': short(
    60,
    {},
    noSasl('Least seconds between two renewals of a credential.'),
    'per-broker',
  ),
  'sasl.login.refresh.window.factor': double(
    0.8,
    {},
    noSasl('Part of its life after which a credential is renewed.'),
    'per-broker',
  ),
  'sasl.login.refresh.window.jitter': double(
    0.05,
    {},
    noSasl('Random part of the time to a renewal of a credential.'),
    'per-broker',
  ),
  'sasl.login.retry.backoff.max.ms': long(
    10_000,
    {},
    noSasl('Longest wait between two tries to log in, in ms.'),
  ),
  'sasl.login.retry.backoff.ms': long(
    100,
    {},
    noSasl('First wait between two tries to log in, in ms.'),
  ),
  'sasl.mechanism.controller.protocol': string(
    'GSSAPI',
    noSasl('SASL mechanism of connections to controllers.'),
  ),
  'sasl.mechanism.inter.broker.protocol': string(
    'GSSAPI',
    noSasl('SASL mechanism of connections between brokers.'),
    { update: 'per-broker' },
  ),
  'sasl.oauthbearer.assertion.algorithm': oneOf(
    'RS256',
    ['ES256', 'RS256'],
    noSasl("Algorithm that the broker's own JWT is signed with."),
  ),
  'sasl.oauthbearer.assertion.claim.aud': string(
    null,
    noSasl("Audience that the broker's own JWT names."),
  ),
  'sasl.oauthbearer.assertion.claim.exp.seconds': int(
    300,
    { min: 0, max: 86_400 },
    noSasl("Seconds for which the broker's own JWT is good."),
  ),
  'sasl.oauthbearer.assertion.claim.iss': string(
    null,
    noSasl("Issuer that the broker's own JWT names."),
  ),
  'sasl.oauthbearer.assertion.claim.jti.include': boolean(
    false,
    noSasl("Whether the broker's own JWT has an id."),
  ),
  'sasl.oauthbearer.assertion.claim.nbf.seconds': int(
    60,
    { min: 0, max: 3600 },
    noSasl("Seconds by which the broker's own JWT starts in the past."),
  ),
  'sasl.oauthbearer.assertion.claim.sub': string(
    null,
    noSasl("Subject that the broker's own JWT names."),
  ),
  'sasl.oauthbearer.assertion.file': string(null, noSasl('File with a JWT that is ready made.')),
  'sasl.oauthbearer.assertion.private.key.file': string(
    null,
    noSasl("File with the key that the broker's own JWT is signed with."),
  ),
  'sasl.oauthbearer.assertion.private.key.passphrase': password(
    noSasl("Passphrase of the key that the broker's own JWT is signed with."),
  ),
  'sasl.oauthbearer.assertion.template.file': string(
    null,
    noSasl("File with headers and claims for the broker's own JWT."),
  ),
  'sasl.oauthbearer.client.credentials.client.id': string(
    null,
    noSasl('Id that the broker gives to the provider of OAuth tokens.'),
  ),
  'sasl.oauthbearer.client.credentials.client.secret': password(
    noSasl('Secret that the broker gives to the provider of OAuth tokens.'),
  ),
  'sasl.oauthbearer.clock.skew.seconds': int(
    30,
    {},
    noSasl('Seconds by which the clocks of broker and provider may differ.'),
  ),
  'sasl.oauthbearer.expected.audience': list(
    '',
    noSasl("Audiences of which a client's JWT must name one."),
  ),
  'sasl.oauthbearer.expected.issuer': string(null, noSasl("Issuer that a client's JWT must name.")),
  'sasl.oauthbearer.jwks.endpoint.refresh.ms': long(
    3_600_000,
    {},
    noSasl("Milliseconds for which the provider's keys are kept."),
  ),
  'sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms': long(
    10_000,
    {},
    noSasl("Longest wait between two tries to get the provider's keys, in ms."),
  ),
  'sasl.oauthbearer.jwks.endpoint.retry.backoff.ms': long(
    100,
    {},
    noSasl("First wait between two tries to get the provider's keys, in ms."),
  ),
  'sasl.oauthbearer.jwks.endpoint.url': string(null, noSasl("Where the provider's keys are.")),
  'sasl.oauthbearer.jwt.retriever.class': className(
    'org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever',
    noSasl('Class that gets JWTs.'),
  ),
  'sasl.oauthbearer.jwt.validator.class': className(
    'org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator',
    noSasl('Class that checks JWTs.'),
  ),
  'sasl.oauthbearer.scope': string(null, noSasl('Scope that the broker asks the provider for.')),
  'sasl.oauthbearer.scope.claim.name': string(
    'scope',
    noSasl('Claim of a JWT that has the scope.'),
  ),
  'sasl.oauthbearer.sub.claim.name': string('sub', noSasl('Claim of a JWT that has the subject.')),
  'sasl.oauthbearer.token.endpoint.url': string(
    null,
    noSasl('Where tokens are got from the provider.'),
  ),
  'sasl.server.callback.handler.class': className(
    null,
    noSasl("Class that answers SASL's questions about clients."),
  ),
  'sasl.server.max.receive.size': int(
    524_288,
    {},
    noSasl('Bytes that a client may send at once while it authenticates.'),
  ),
})
