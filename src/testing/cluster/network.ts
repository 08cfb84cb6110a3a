import { Socket } from 'node:net'
import { type Dial, realDial } from '../../cluster/dial.ts'

interface Link {
  readonly from: number
  readonly to: number
  readonly socket: Socket
  /** Neither side hears of the other, and nothing is lost: as by a network that drops packets. */
  isCut: boolean
  readonly isConnected: boolean
}

/** The connections between the brokers of one process, which can be cut. Clients' are not among them. */
export class Network {
  readonly #links = new Set<Link>()
  #reach: (a: number, b: number) => boolean = () => true

  /** How the broker reaches the others. */
  dialOf(from: number): Dial {
    return (to, address) => {
      const isConnected = this.#reach(from, to)
      const socket = isConnected ? realDial(to, address) : new Socket()
      const link = { from, to, socket, isCut: false, isConnected }
      this.#links.add(link)
      socket.on('close', () => this.#links.delete(link))
      return socket
    }
  }

  /** From now on only these pairs can hear of each other. */
  set reach(reach: (a: number, b: number) => boolean) {
    this.#reach = reach
    for (const link of this.#links) this.#apply(link)
  }

  #apply(link: Link): void {
    const { from, to, socket, isConnected } = link
    const isCut = !this.#reach(from, to)
    if (!isConnected) {
      // One that was dialled into the void: whoever waits for it dials again.
      if (!isCut) socket.destroy()
      return
    }
    if (isCut === link.isCut) return
    link.isCut = isCut
    if (isCut) {
      socket.pause()
      socket.cork()
    } else {
      socket.uncork()
      socket.resume()
    }
  }
}
