import { connect, type Socket } from 'node:net'

/** How a broker reaches another one: a socket that is connected, or will be. Given from outside, as the file system is. */
export type Dial = (peer: number, address: Address) => Socket

export interface Address {
  readonly host: string
  readonly port: number
}

export const realDial: Dial = (_peer, { host, port }) => connect({ host, port, noDelay: true })
