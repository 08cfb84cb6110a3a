import type { FetchAnswer, FollowerEffect } from '../../src/replication/follower-effects.ts'
import type { ReplicaFetch } from '../../src/replication/leader-effects.ts'
import type { Batch } from './log-content.ts'
import type { Process } from './process.ts'

const WAIT_MS = 500
const TIMEOUT_MS = 2_500
const NOT_LEADER = 6
const BATCHES_MAX = 8

export interface FetchRequest extends ReplicaFetch {
  readonly key: string
}

interface Connection {
  readonly session: number
  readonly to: number
  /** The process at the other end: another one there resets the connection. */
  readonly peer: Process
  isOpen: boolean
  /** Of the fetches under way: told when it breaks. */
  readonly lost: Set<() => void>
}

interface Parked {
  readonly request: FetchRequest
  readonly answer: (answer: FetchAnswer<Batch>) => void
  readonly until: number
}

let sessions = 0
/** So that a run begins with the same numbers as another. */
export function resetSessions(): void {
  sessions = 0
}

/** Fetching from leaders, a connection for each partition, and serving those that fetch here. */
export class Peers {
  readonly #process: Process
  readonly #connections = new Map<string, Connection>()
  readonly #parked = new Map<string, Parked[]>()

  constructor(process: Process) {
    this.#process = process
  }

  end(): void {
    for (const connection of this.#connections.values()) connection.isOpen = false
    this.#parked.clear()
  }

  fetch(key: string, effect: Extract<FollowerEffect<Batch>, { kind: 'fetch' }>): void {
    const process = this.#process
    const { world, network, nodes } = process.around
    const follower = process.replicas.get(key)?.follower
    const me = process.node.id
    const peer = nodes.find(({ id }) => id === effect.leader)?.process ?? null
    const lost = (): void => {
      if (follower === process.replicas.get(key)?.follower) {
        follower?.disconnected(effect.id, process.now)
      }
    }
    if (peer === null) {
      world.after(network.delay() * 2, () => process.deliver(lost))
      return
    }
    const connection = this.#connect(key, effect.leader, peer)
    connection.lost.add(lost)
    const reset = (): void => this.#close(connection)
    const { offset, lastEpoch, logStart, epoch } = effect
    const { session } = connection
    const brokerEpoch = process.session.epoch
    const request = { key, from: me, session, brokerEpoch, epoch, offset, lastEpoch, logStart }
    let isAnswered = false
    const answered = (answer: FetchAnswer<Batch>): void => {
      network.send(effect.leader, me, () => {
        if (!connection.isOpen || isAnswered) return
        isAnswered = true
        connection.lost.delete(lost)
        process.deliver(() => {
          if (follower === process.replicas.get(key)?.follower) {
            follower?.fetched(effect.id, answer, process.now)
          }
        })
      })
    }
    const isWanted = (): boolean => connection.isOpen || world.random.chance(0.9)
    network.send(
      me,
      effect.leader,
      () => {
        if (!peer.isAlive) network.send(effect.leader, me, reset)
        else peer.deliver(() => peer.fetch(request, answered))
      },
      isWanted,
    )
    world.after(TIMEOUT_MS, () => {
      if (connection.lost.has(lost)) reset()
    })
  }

  /** A fetch has come: answered now, or when there is something to say. */
  serve(request: FetchRequest, answer: (answer: FetchAnswer<Batch>) => void): void {
    const process = this.#process
    const leader = process.replicas.get(request.key)?.leader ?? null
    if (leader === null) {
      answer({ error: NOT_LEADER, logStart: 0 })
      return
    }
    const verdict = leader.fetch(request, process.now)
    const parked = { request, answer, until: process.now + WAIT_MS }
    if ('end' in verdict) {
      if (request.offset < verdict.end) this.#answer(parked)
      else this.#park(parked)
    } else {
      answer(verdict)
      leader.fetchAnswered(request.from, request.session, process.now)
    }
  }

  /** Answers those of them that wait. */
  wake(key: string, isMeant: (request: FetchRequest) => boolean): void {
    const parked = this.#parked.get(key)
    if (parked === undefined || parked.length === 0) return
    const woken = parked.filter(({ request }) => isMeant(request))
    this.#parked.set(
      key,
      parked.filter(one => !woken.includes(one)),
    )
    for (const one of woken) this.#answer(one)
  }

  refuse(key: string): void {
    for (const { answer } of this.#parked.get(key) ?? []) answer({ error: NOT_LEADER, logStart: 0 })
    this.#parked.delete(key)
  }

  expire(): void {
    const { now } = this.#process
    for (const [key, parked] of this.#parked) {
      const over = parked.filter(({ until }) => until <= now)
      if (over.length === 0) continue
      this.#parked.set(
        key,
        parked.filter(({ until }) => until > now),
      )
      for (const one of over) this.#answer(one)
    }
  }

  #connect(key: string, to: number, peer: Process): Connection {
    const old = this.#connections.get(key)
    if (old?.isOpen && old.to === to && old.peer === peer) return old
    if (old !== undefined) this.#close(old)
    const lost = new Set<() => void>()
    const connection = { session: ++sessions, to, peer, isOpen: true, lost }
    this.#connections.set(key, connection)
    return connection
  }

  #close(connection: Connection): void {
    if (!connection.isOpen) return
    connection.isOpen = false
    for (const lost of connection.lost) this.#process.deliver(lost)
    connection.lost.clear()
  }

  #park(parked: Parked): void {
    const all = this.#parked.get(parked.request.key)
    if (all === undefined) this.#parked.set(parked.request.key, [parked])
    else all.push(parked)
  }

  #answer({ request, answer }: Parked): void {
    const process = this.#process
    const { key, from, session, offset } = request
    const leader = process.replicas.get(key)?.leader ?? null
    if (leader === null || leader.epoch !== request.epoch) {
      answer({ error: NOT_LEADER, logStart: 0 })
      return
    }
    // What is only placed is read from memory, if it is still there.
    const log = process.node.log(key)!
    const end = process.around.world.random.chance(0.8) ? leader.end : log.written
    const batches = log.read(offset, Math.min(end, leader.end), BATCHES_MAX)
    answer({ hw: leader.hw, logStart: leader.logStart, batches })
    leader.fetchAnswered(from, session, process.now)
  }
}
