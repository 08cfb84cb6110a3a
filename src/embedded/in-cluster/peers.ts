import type { ClusterNode } from '../../cluster/node.ts'
import type { ErrorLog } from '../../errors.ts'
import { WAIT_MS_MAX } from '../patience.ts'
import { FETCH_WAIT_MS, PeerFetches } from './fetches.ts'
import { Line } from './line.ts'

/** What is answered at once: past it a broker is taken for dead. */
const CALL_MS_MAX = 5_000
/** Connections to a broker by which records are read. */
const FETCH_LINES_MAX = 4
/** Batches under way to a broker, one of each partition; others wait. */
const APPENDS_MAX = 32

/** The connections to one other broker: six at most. */
export interface Peer {
  /** For what is answered at once. */
  readonly calls: Line
  /** For appends, which wait for other replicas. */
  readonly appends: Line
  readonly fetches: PeerFetches
}

/** The other brokers, as far as anything is asked of them. */
export class Peers {
  readonly #node: ClusterNode
  readonly #log: ErrorLog
  readonly #peers = new Map<number, Peer>()
  readonly #lines: Line[] = []
  #isClosed = false

  constructor(node: ClusterNode, log: ErrorLog) {
    this.#node = node
    this.#log = log
  }

  of(peer: number): Peer {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    const fetchLines = Array.from({ length: FETCH_LINES_MAX }, () =>
      this.#line(peer, FETCH_WAIT_MS + CALL_MS_MAX, 1),
    )
    const made = {
      calls: this.#line(peer, CALL_MS_MAX, APPENDS_MAX),
      appends: this.#line(peer, WAIT_MS_MAX + CALL_MS_MAX, APPENDS_MAX),
      fetches: new PeerFetches(fetchLines, err =>
        this.#log.error({ err, broker: peer }, 'bug: reading from another broker failed'),
      ),
    }
    this.#peers.set(peer, made)
    return made
  }

  #line(peer: number, answerMsMax: number, inFlightMax: number): Line {
    const line = new Line({ node: this.#node, peer, answerMsMax, inFlightMax })
    if (this.#isClosed) void line.close()
    else this.#lines.push(line)
    return line
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#lines.map(line => line.close()))
  }
}
