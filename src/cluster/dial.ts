import { connect, type Socket } from 'node:net'
import type { Endpoint } from '../endpoint.ts'

/** How a broker reaches another one: a socket that is connected, or will be. Given from outside, as the file system is. */
export type Dial = (peer: number, address: Endpoint) => Socket

export const realDial: Dial = (_peer, { host, port }) => connect({ host, port, noDelay: true })
