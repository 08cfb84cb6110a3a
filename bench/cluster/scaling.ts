/**
 * A large cluster on paper: the real image and the real controller over a metadata store whose transactions take as long as etcd's
 * were measured to, in virtual time: node --expose-gc --import tsx bench/cluster/scaling.ts [--brokers 100] [--partitions 100000]
 */
import { parseArgs } from 'node:util'
import { ClusterImage } from '../../src/cluster/image.ts'
import { placeReplicas } from '../../src/cluster/placement.ts'
import { brokerKey, nodeKey } from '../../src/cluster/registration.ts'
import { Controller, type ControllerEffect } from '../../src/controller/controller.ts'
import { nextState, transactionOf, unfencedKey } from '../../src/replication/next-state.ts'
import { partitionKey, toRecord } from '../../src/replication/partition-state.ts'
import type { Change, Entry, Observed } from '../../src/replication/types.ts'

/** One transaction of etcd 3.6 with its own log on a busy disk: alone, and more for each change; 127 took 3.6 to 5.2 ms. */
const TRANSACTION_MS = 1.3
const CHANGE_MS = 0.03
const PARTITIONS_A_TOPIC = 100
const TICK_MS = 100
/** Of etcd's 128 changes in a transaction. */
const TOGETHER = 100

const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '100' },
    partitions: { type: 'string', default: '100000' },
  },
})
const brokers = Array.from({ length: Number(values.brokers) }, (_, i) => i + 1)
const partitions = Number(values.partitions)
const ME = 1

const registration = (id: number, life = 0) => ({
  ...{ incarnation: `i${id}-${life}`, dir: `d${id}`, lease: `L${id}`, start: 'clean' },
  listeners: { PLAINTEXT: { host: `10.0.0.${id}`, port: 9092 } },
})

/** A cluster in which all is well, at revision 1. */
function entries(): Entry[] {
  const all: { key: string; value: unknown }[] = []
  for (const id of brokers) {
    all.push({ key: brokerKey(id), value: registration(id) })
    all.push({ key: unfencedKey(id), value: { epoch: 1 } })
    all.push({ key: nodeKey(id), value: { dir: `d${id}`, state: 'member' } })
  }
  const candidates = brokers.map(id => ({ id, rack: null }))
  for (let topic = 0; topic * PARTITIONS_A_TOPIC < partitions; topic++) {
    const name = `topic-${topic}`
    const value = { name, id: name, partitions: PARTITIONS_A_TOPIC, configs: {} }
    all.push({ key: `topics/${name}`, value })
    const placed = placeReplicas(candidates, PARTITIONS_A_TOPIC, 3, bound => topic % bound)!
    for (const [index, replicas] of placed.entries()) {
      const leader = replicas[0]!
      const state = {
        ...{ replicas, isr: replicas, elr: [], adding: [], removing: [], leader, epoch: 0 },
        ...{ by: `i${leader}-0`, min: 2, durable: true, unclean: -1, revision: 1 },
      }
      all.push({ key: partitionKey(name, index), value: toRecord(state) })
    }
  }
  return all.map(({ key, value }) => ({ key, value: value as never, revision: 1, created: 1 }))
}

/** What has been done, and how long that took: virtual ms of the store, real ms of this thread. */
interface Cost {
  readonly transactions: number
  readonly changes: number
  readonly storeMs: number
  readonly cpuMs: number
}

class Cluster {
  readonly image = new ClusterImage()
  readonly controller: Controller
  readonly #effects: ControllerEffect[] = []
  #revision = 1
  #now = 0
  #transactions = 0
  #changes = 0
  #busyMs = 0

  constructor() {
    this.controller = new Controller({
      ...{ me: ME, incarnation: `i${ME}-0`, image: this.image, ttlMs: 6_000 },
      ...{ preferredMs: Number.POSITIVE_INFINITY, mayBeUnclean: () => false, out: this.#effects },
    })
  }

  apply(changes: readonly Change[]): void {
    const revision = ++this.#revision
    const observed = changes.map(({ key, value }): Observed => {
      const created = value === null ? 0 : (this.image.entry(key)?.created ?? revision)
      return { key, value, created }
    })
    const diff = this.image.apply({ revision, changes: observed })
    this.controller.changed(diff, this.#now)
  }

  /** A transaction of the store. */
  commit(changes: readonly Change[]): void {
    const ms = TRANSACTION_MS + changes.length * CHANGE_MS
    this.#transactions++
    this.#changes += changes.length
    this.#busyMs += ms
    this.#now += ms
    this.apply(changes)
  }

  /** Until the controller wants nothing any more, and for so long after that. */
  settle(afterMs = 300): void {
    const { controller } = this
    for (let idle = 0; idle < afterMs; ) {
      const next = this.#effects.shift()
      if (next === undefined) {
        this.#now += TICK_MS
        idle += TICK_MS
        controller.tick(this.#now)
        continue
      }
      idle = 0
      this.commit(next.changes)
      const outcome = { outcome: 'applied', revision: this.#revision } as const
      controller.answered(next.id, outcome, this.#now)
    }
  }

  measure(act: () => void): Cost {
    const before = { transactions: this.#transactions, changes: this.#changes, ms: this.#busyMs }
    const start = performance.now()
    act()
    return {
      transactions: this.#transactions - before.transactions,
      changes: this.#changes - before.changes,
      storeMs: this.#busyMs - before.ms,
      cpuMs: performance.now() - start,
    }
  }

  /** The leaders take a broker that is back into their ISRs again, each with as few transactions as hold its partitions. */
  rejoin(id: number): void {
    const byLeader = new Map<number, Change[]>()
    for (const { key } of this.image.partitionsOn(id)) {
      const state = this.image.partitionAt(key)!
      if (state.isr.includes(id) || state.leader === -1) continue
      const members = [...state.isr, id].map(one => ({ id: one, brokerEpoch: -1 }))
      const isr = members.map(one =>
        one.id === id ? { id, brokerEpoch: this.image.broker(id)!.epoch } : one,
      )
      const next = nextState(state, { isr }, this.image.view(key))
      if ('error' in next) throw new Error(next.reason)
      const { change } = transactionOf(key, next)
      byLeader.set(state.leader, [...(byLeader.get(state.leader) ?? []), change])
    }
    for (const changes of byLeader.values()) {
      for (let at = 0; at < changes.length; at += TOGETHER) {
        this.commit(changes.slice(at, at + TOGETHER))
      }
    }
  }
}

const tell = (what: string, { transactions, changes, storeMs, cpuMs }: Cost): void => {
  const cells = [`${transactions} transactions`, `${changes} changes`]
  const times = [`etcd ${storeMs.toFixed(0)} ms`, `CPU of the controller ${cpuMs.toFixed(0)} ms`]
  process.stdout.write(`${what.padEnd(46)} ${[...cells, ...times].join(', ')}\n`)
}

const heapMb = (): number => {
  global.gc?.()
  return process.memoryUsage().heapUsed / 1e6
}
const list = entries()
const bytes = list.reduce((sum, one) => sum + JSON.stringify(one.value).length + one.key.length, 0)
const parsed = JSON.parse(JSON.stringify(list)) as Entry[]
list.splice(0)
const empty = heapMb()
const cluster = new Cluster()
const read = cluster.measure(() => {
  const diff = cluster.image.reset(1, parsed)
  cluster.controller.changed(diff, 0)
})
process.stdout.write(
  `${brokers.length} brokers, ${partitions} partitions: ${(bytes / 1e6).toFixed(1)} MB of keys and values, image made in ${read.cpuMs.toFixed(0)} ms, ${(heapMb() - empty).toFixed(0)} MB of heap beside the entries\n`,
)
const elected = cluster.measure(() => {
  cluster.controller.session(`L${ME}`, 0)
  cluster.settle()
})
tell('a controller is elected', elected)
const dead = brokers[1]!
tell(
  `broker ${dead} dies`,
  cluster.measure(() => {
    cluster.controller.refused(dead, 0)
    cluster.settle()
  }),
)
const back = (id: number): void => {
  cluster.apply([{ key: brokerKey(id), value: registration(id, 1) as never }])
  cluster.settle()
  cluster.rejoin(id)
  cluster.settle()
}
tell(
  `broker ${dead} is back`,
  cluster.measure(() => back(dead)),
)
const stopped = brokers[2]!
tell(
  `broker ${stopped} hands over, stops, and is back`,
  cluster.measure(() => {
    const value = { ...registration(stopped), draining: true }
    cluster.apply([{ key: brokerKey(stopped), value: value as never }])
    cluster.settle()
    cluster.apply([{ key: brokerKey(stopped), value: null }])
    cluster.settle()
    back(stopped)
  }),
)
