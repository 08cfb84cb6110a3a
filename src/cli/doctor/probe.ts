import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { Client, ClientError, type ClientErrorCode } from '../../client/client.ts'
import { connectReason } from '../base/cluster.ts'
import type { Address } from '../base/options.ts'
import { otherServer } from '../base/other-server.ts'

/** What happened on the way to an address: what was found, and what to do if it is not good. */
export type Probe =
  | { readonly client: Client; readonly found: string; readonly addresses: readonly string[] }
  | { readonly client: null; readonly found: string; readonly advice: string }

/** Resolves the name, connects, and asks for the versions. The caller closes the client. */
export async function probe({ host, port }: Address, timeoutMs: number): Promise<Probe> {
  const addresses = await resolve(host)
  if (!Array.isArray(addresses)) return { client: null, ...addresses }
  const started = performance.now()
  const limits = { connectTimeoutMs: timeoutMs, requestTimeoutMs: timeoutMs }
  let client: Client
  try {
    client = await Client.connect({ host, port, clientId: 'odradek', ...limits })
  } catch (error) {
    return { client: null, ...refused(error) }
  }
  const connectedMs = performance.now() - started
  try {
    await client.apiVersions()
  } catch (error) {
    await client.close()
    const kind = await otherServer({ host, port })
    if (kind === null) return { client: null, ...mute(error) }
    return { client: null, found: `no Kafka broker: it ${kind}`, advice: OTHER_PORT }
  }
  const answeredMs = performance.now() - started - connectedMs
  const times = `connected in ${connectedMs.toFixed(1)} ms, answered in ${answeredMs.toFixed(1)} ms`
  return { client, found: `${times} (${addresses.join(', ')})`, addresses }
}

interface Problem {
  readonly found: string
  readonly advice: string
}

async function resolve(host: string): Promise<string[] | Problem> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const advice = 'check the spelling, the DNS of this machine, or /etc/hosts'
    return { found: `the name ${host} cannot be resolved (${code})`, advice }
  }
}

const CONNECT_ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is the broker running, is the port right?',
  EHOSTUNREACH: 'there is no way to that host: check the network and its routes',
  ENETUNREACH: 'there is no way to that network: check the network and its routes',
}
const NO_ANSWER = 'packets get lost: look for a firewall, or for an address of another network'

function refused(error: unknown): Problem {
  const failure = asClientError(error)
  const code = (failure.cause as NodeJS.ErrnoException | undefined)?.code ?? ''
  const advice = failure.code === 'TIMED_OUT' ? NO_ANSWER : (CONNECT_ADVICE[code] ?? NO_ANSWER)
  return { found: `no connection: ${connectReason(failure)}`, advice }
}

const ANSWER_ADVICE: Partial<Record<ClientErrorCode, string>> = {
  TIMED_OUT:
    'it accepts connections but does not answer: is the broker overloaded, or is that another program?',
}
const NO_KAFKA = 'what listens there does not speak Kafka: is it another program?'
const OTHER_PORT = 'give the address of a PLAINTEXT listener of a broker'

function mute(error: unknown): Problem {
  const { code, message } = asClientError(error)
  return { found: `no Kafka answer: ${message}`, advice: ANSWER_ADVICE[code] ?? NO_KAFKA }
}

function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error
  throw error
}

export const isLoopback = (address: string): boolean =>
  address === '::1' || /^(::ffff:)?127\./.test(address)

/** Whether an address is one of this machine. */
export function isHere(address: string): boolean {
  if (isLoopback(address)) return true
  return Object.values(networkInterfaces())
    .flat()
    .some(own => own?.address === address)
}
