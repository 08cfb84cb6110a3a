import { hostname } from 'node:os'
import { InvalidOption } from '../errors.ts'

/** An address to listen on. */
export interface Listener {
  /** Upper case, unique. */
  readonly name: string
  /** IP address or host name without brackets; '' = all interfaces. */
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  readonly protocol: 'PLAINTEXT'
}

/**
 * An address that clients are told. Port 0 stands for the port that the listener of this name got.
 */
export interface AdvertisedListener {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** One option as it was given. */
export interface Given {
  readonly text: string
  readonly origin: string
}

const LISTENERS_MAX = 32
const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']
const ALL_INTERFACES = ['', '0.0.0.0', '::']

const refuse = (key: string, given: Given, allowed: string): never => {
  throw new InvalidOption(key, given.text, given.origin, allowed)
}

/** NAME://host:port, the host an IPv6 address in brackets, a name, an IPv4 address, or empty. */
function parseEndpoint(key: string, given: Given, text: string): AdvertisedListener {
  const match = /^(\w[\w.-]*):\/\/(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text)
  if (match === null) {
    return refuse(key, given, `NAME://host:port entries divided by commas, which "${text}" is not`)
  }
  const port = Number(match[4])
  if (port > 65_535) return refuse(key, given, `given with ports from 0 to 65535, not ${port}`)
  return { name: match[1]!.toUpperCase(), host: match[2] ?? match[3]!, port }
}

function parseEndpoints(key: string, given: Given): AdvertisedListener[] {
  const texts = given.text.split(',').map(text => text.trim())
  if (texts.length > LISTENERS_MAX) refuse(key, given, `at most ${LISTENERS_MAX} listeners`)
  const endpoints = texts.map(text => parseEndpoint(key, given, text))
  const names = new Set<string>()
  for (const { name } of endpoints) {
    if (names.has(name))
      refuse(key, given, `a list with each name once, but ${name} is there twice`)
    names.add(name)
  }
  return endpoints
}

/** "A:PLAINTEXT,B:SSL" as a map of upper-case names. */
function parseProtocolMap(given: Given): Map<string, string> {
  const map = new Map<string, string>()
  for (const pair of given.text.split(',')) {
    const [name, protocol] = pair.split(':').map(part => part.trim().toUpperCase())
    map.set(name!, protocol!)
  }
  return map
}

function refuseSharedPorts(given: Given, endpoints: readonly AdvertisedListener[]): void {
  const taken: AdvertisedListener[] = []
  for (const endpoint of endpoints.filter(one => one.port !== 0)) {
    const other = taken.find(
      one =>
        one.port === endpoint.port &&
        (one.host === endpoint.host ||
          ALL_INTERFACES.includes(one.host) ||
          ALL_INTERFACES.includes(endpoint.host)),
    )
    if (other !== undefined) {
      refuse(
        'listeners',
        given,
        `a list with each address once, but ${other.name} and ${endpoint.name} both take port ${endpoint.port}`,
      )
    }
    taken.push(endpoint)
  }
}

function protocolOf(name: string, map: ReadonlyMap<string, string>, given: Given): 'PLAINTEXT' {
  const protocol = map.get(name)
  if (protocol === 'PLAINTEXT') return protocol
  if (protocol === undefined) {
    return refuse(
      'listeners',
      given,
      `a list of names that are in listener.security.protocol.map, where ${name} is missing`,
    )
  }
  const known = PROTOCOLS.includes(protocol)
  const why = known ? 'is not supported yet' : 'is no security protocol'
  return refuse('listeners', given, `PLAINTEXT only: ${protocol}, of listener ${name}, ${why}`)
}

/**
 * The addresses to listen on. Controller listeners are left out: there is no such connection here.
 * @throws InvalidOption
 */
export function parseListeners(
  given: Given,
  protocolMap: Given,
  controllerNames: readonly string[],
): { listeners: Listener[]; leftOut: string[] } {
  const map = parseProtocolMap(protocolMap)
  const controllers = new Set(controllerNames.map(name => name.toUpperCase()))
  const all = parseEndpoints('listeners', given)
  const endpoints = all.filter(endpoint => !controllers.has(endpoint.name))
  if (endpoints.length === 0) refuse('listeners', given, 'a list with a listener for clients')
  refuseSharedPorts(given, endpoints)
  return {
    listeners: endpoints.map(one => ({ ...one, protocol: protocolOf(one.name, map, given) })),
    leftOut: all.filter(one => controllers.has(one.name)).map(one => one.name),
  }
}

/**
 * What clients are told when advertised.listeners is not set: the listeners; all interfaces are
 * told as the host name.
 */
function fromListeners(listeners: readonly Listener[], given: Given): AdvertisedListener[] {
  return listeners.map(({ name, host, port }) => {
    if (host === '0.0.0.0' || host === '::') {
      refuse(
        'listeners',
        given,
        `given together with advertised.listeners: clients cannot connect to ${host}, tell them an address they can reach`,
      )
    }
    return { name, host: host === '' ? hostname() : host, port }
  })
}

/**
 * The addresses that clients are told, with Kafka's rules: each belongs to a listener, none is
 * 0.0.0.0, an empty host is the host's name.
 * @throws InvalidOption
 */
export function parseAdvertised(
  advertised: Given | undefined,
  listeners: readonly Listener[],
  given: Given,
  leftOut: readonly string[],
): AdvertisedListener[] {
  if (advertised === undefined) return fromListeners(listeners, given)
  const key = 'advertised.listeners'
  const endpoints = parseEndpoints(key, advertised).filter(one => !leftOut.includes(one.name))
  return endpoints.map(({ name, host, port }) => {
    if (!listeners.some(listener => listener.name === name)) {
      refuse(key, advertised, `a list of names that are in listeners, where ${name} is missing`)
    }
    if (host === '0.0.0.0' || host === '::') {
      refuse(key, advertised, `addresses that clients can connect to, which ${host} is not`)
    }
    return { name, host: host === '' ? hostname() : host, port }
  })
}

/**
 * Listeners for a broker that was only told what to advertise, as in a container: all interfaces,
 * the same ports.
 */
export function listenersFor(advertised: Given): string {
  return parseEndpoints('advertised.listeners', advertised)
    .map(({ name, port }) => `${name}://:${port}`)
    .join(',')
}
