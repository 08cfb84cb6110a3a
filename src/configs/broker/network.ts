import { className, INT_MAX, int, list, long, oneOf, onlyDefault, string } from '../definition.ts'
import { parseIpOverrides } from '../ip-overrides.ts'
import { noPurgatory, noQuotas, noSasl, noShare, oneNode, systemSized, threads } from './reasons.ts'

const LISTENERS =
  'a list like PLAINTEXT://127.0.0.1:9092; an IPv6 address stands in brackets, an empty host means all interfaces'

/** Listeners, connections and requests. */
export const network = {
  listeners: list('PLAINTEXT://127.0.0.1:9092', 'Addresses the broker listens on.', {
    allowed: LISTENERS,
    check: entries => entries.length > 0,
  }),
  'advertised.listeners': list(
    null,
    'Addresses that clients are told to connect to; unset: those of listeners.',
    { allowed: LISTENERS, check: entries => entries.length > 0 },
  ),
  'listener.security.protocol.map': string(
    'PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL',
    'Security protocol of each listener name; only PLAINTEXT is supported so far.',
    {
      allowed: 'a list of NAME:PROTOCOL pairs divided by commas',
      check: map => map.split(',').every(pair => /^\s*\w+\s*:\s*\w+\s*$/.test(pair)),
    },
  ),
  'inter.broker.listener.name': string(
    null,
    'Listener through which brokers of a cluster connect to each other; unset: the first of listeners.',
  ),
  'security.inter.broker.protocol': oneOf(
    'PLAINTEXT',
    ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'],
    oneNode('Security protocol of connections between brokers.'),
  ),
  'socket.request.max.bytes': int(
    104_857_600,
    { min: 1 },
    'Largest request a client may send, in bytes; a larger one closes its connection.',
  ),
  'socket.send.buffer.bytes': int(
    102_400,
    { min: -1 },
    systemSized('Send buffer of a connection, in bytes; -1: as the system has it.'),
  ),
  'socket.receive.buffer.bytes': int(
    102_400,
    { min: -1 },
    systemSized('Receive buffer of a connection, in bytes; -1: as the system has it.'),
  ),
  'socket.listen.backlog.size': int(
    1024,
    { min: 1 },
    'Connections that may wait to be accepted on one listener; what comes beyond is retried by its system after 200 ms or more.',
  ),
  'connections.max.idle.ms': long(
    600_000,
    { min: -1, meaning: '-1: no limit' },
    'Milliseconds without a request after which a connection is closed; negative: never.',
  ),
  'max.connections': int(
    INT_MAX,
    { min: 0 },
    'Client connections the broker holds at once; more are closed on arrival.',
    'cluster-wide',
  ),
  'max.connections.per.ip': int(
    INT_MAX,
    { min: 0 },
    'Client connections held at once from one IP address; more are closed on arrival.',
    'cluster-wide',
  ),
  'queued.max.requests': int(
    500,
    { min: 1 },
    'Requests that wait to be handled, over which nothing more is read. No effect here: each connection has its own bound on requests under way.',
  ),
  'num.network.threads': int(
    3,
    { min: 1 },
    threads('Threads that read and write connections.'),
    'cluster-wide',
  ),
  'num.io.threads': int(8, { min: 1 }, threads('Threads that handle requests.'), 'cluster-wide'),
  'background.threads': int(10, { min: 1 }, threads('Threads for housekeeping.'), 'cluster-wide'),
  'connection.failed.authentication.delay.ms': int(
    100,
    { min: 0 },
    noSasl('Milliseconds for which a connection stays open after a wrong password.'),
  ),
  'connections.max.reauth.ms': long(
    0,
    {},
    noSasl('Longest life of a session before a client has to authenticate anew, in ms.'),
  ),
  'early.start.listeners': list(
    null,
    'Listeners that open before the authorizer is ready. No effect here: there is no authorizer.',
  ),
  'max.connection.creation.rate': int(
    INT_MAX,
    { min: 0 },
    'Client connections taken in a second; what comes faster is not read from until its turn.',
    'cluster-wide',
  ),
  'max.connections.per.ip.overrides': string(
    '',
    'Other bounds than max.connections.per.ip for single addresses, like 10.0.0.1:100,::1:5.',
    {
      allowed:
        'a list of ADDRESS:COUNT entries divided by commas; an address is an IP address, not a name',
      check: text => parseIpOverrides(text) !== undefined,
      update: 'cluster-wide',
    },
  ),
  'queued.max.request.bytes': long(
    -1,
    {},
    'Bytes that requests of all connections take in memory until they are answered, over which nothing more is read but what is small; -1: 128 MiB.',
  ),
  'socket.connection.setup.timeout.max.ms': long(
    30_000,
    {},
    oneNode('Longest wait for a connection to another broker, in ms.'),
  ),
  'socket.connection.setup.timeout.ms': long(
    10_000,
    {},
    oneNode('First wait for a connection to another broker, in ms.'),
  ),
  'client.quota.callback.class': onlyDefault(
    className(
      null,
      'Class that says how much a client may use. Must stay unset: quotas are not built in.',
    ),
    'left out: quotas are not built in, so nobody would be held back',
  ),
  'quota.window.num': int(
    11,
    { min: 1 },
    noQuotas('Samples that the rates of clients are measured over.'),
  ),
  'quota.window.size.seconds': int(
    1,
    { min: 1 },
    noQuotas('Seconds of one sample of the rates of clients.'),
  ),
  'delete.records.purgatory.purge.interval.requests': int(
    1,
    {},
    noPurgatory('Waiting DeleteRecords requests after which answered ones are cleared away.'),
  ),
  'fetch.purgatory.purge.interval.requests': int(
    1000,
    {},
    noPurgatory('Waiting fetches after which answered ones are cleared away.'),
  ),
  'producer.purgatory.purge.interval.requests': int(
    1000,
    {},
    noPurgatory('Waiting produce requests after which answered ones are cleared away.'),
  ),
  'share.fetch.purgatory.purge.interval.requests': int(
    1000,
    {},
    noShare('Waiting fetches of share groups after which answered ones are cleared away.'),
  ),
}
