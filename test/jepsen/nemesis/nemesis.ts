import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../lib/random.ts'
import { type JepsenCluster, nodeOf } from '../world/cluster.ts'
import type { Network } from '../world/network.ts'
import { cutFiles, flipBits } from './damage.ts'
import { cutsOf, PARTITIONS } from './partitions.ts'
import type { FaultName, Turn } from './schedule.ts'

/** As often as each stands there; a minority of three is one. */
const TARGETS = ['one', 'minority', 'majority', 'all', 'leader'] as const
const STROBE_STEP_MS = 1_500

type Heal = () => Promise<unknown> | unknown
interface Begun {
  /** What was done, for whoever reads the run. */
  readonly what: string
  readonly heal: Heal
}

export interface World {
  readonly cluster: JepsenCluster
  readonly network: Network
  /** Who leads what is written to most just now. */
  readonly leader: () => Promise<number>
  /** Of partitions of the workload. */
  readonly folders: RegExp
  /** The only one whose files are damaged, ever: the others have what it loses. */
  readonly victim: number
  readonly log: (line: string) => void
}

/** Breaks and heals by a schedule. */
export class Nemesis {
  readonly counts: Partial<Record<FaultName, number>> = {}
  readonly #world: World
  readonly #active = new Map<FaultName, Heal>()

  constructor(world: World) {
    this.#world = world
  }

  /** Resolves at the end of the schedule, or when the run is over. */
  async follow(turns: readonly Turn[], isOver: AbortSignal): Promise<void> {
    const started = performance.now()
    for (const turn of turns) {
      const ms = Math.max(0, turn.atMs - (performance.now() - started))
      await sleep(ms, undefined, { signal: isOver }).catch(() => undefined)
      if (isOver.aborted) return
      await this.#take(turn)
    }
  }

  async #take({ fault, seed }: Turn): Promise<void> {
    const heal = this.#active.get(fault)
    if (heal !== undefined) {
      this.#active.delete(fault)
      this.#world.log(`heal ${fault}`)
      await heal()
      return
    }
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
    const begun = await this.#begin(fault, new Random(seed))
    this.#world.log(`${fault}: ${begun.what}`)
    this.#active.set(fault, begun.heal)
  }

  #begin(fault: FaultName, random: Random): Promise<Begun> {
    switch (fault) {
      case 'kill':
        return this.#kill(random)
      case 'pause':
        return this.#pause(random)
      case 'partition':
        return this.#partition(random)
      case 'clock':
        return this.#clock(random)
      case 'files':
        return this.#damage(random, cutFiles)
      case 'bits':
        return this.#damage(random, flipBits)
      case 'etcd':
        return this.#etcd(random)
    }
  }

  async #targets(random: Random): Promise<readonly number[]> {
    const ids = random.shuffled([1, 2, 3])
    switch (random.pick(TARGETS)) {
      case 'leader':
        return [await this.#world.leader()]
      case 'majority':
        return ids.slice(0, 2)
      case 'all':
        return ids
      default:
        return ids.slice(0, 1)
    }
  }

  async #kill(random: Random): Promise<Begun> {
    const { cluster } = this.#world
    const ids = await this.#targets(random)
    await Promise.all(ids.map(id => cluster.killBroker(id)))
    return { what: `brokers ${ids}`, heal: () => void ids.map(id => cluster.startBroker(id)) }
  }

  async #pause(random: Random): Promise<Begun> {
    const { cluster } = this.#world
    const ids = await this.#targets(random)
    for (const id of ids) cluster.signal(id, 'SIGSTOP')
    const heal = (): void => {
      for (const id of ids) cluster.signal(id, 'SIGCONT')
    }
    return { what: `brokers ${ids}`, heal }
  }

  async #partition(random: Random): Promise<Begun> {
    const { network, leader } = this.#world
    const kind = random.pick(PARTITIONS)
    const cuts = cutsOf(kind, random, nodeOf(await leader()))
    for (const cut of cuts) network.cut(cut)
    const what = `${kind}, ${cuts.map(({ from, to }) => `${from}>${to}`).join(' ')}`
    return { what, heal: () => network.heal() }
  }

  /** A step of up to some minutes, or some of them forth and back. */
  async #clock(random: Random): Promise<Begun> {
    const { cluster } = this.#world
    const ids = await this.#targets(random)
    const step = (): number => (random.chance(0.5) ? 1 : -1) * 1.5 ** (6 + random.below(26))
    const steps = Array.from({ length: random.chance(0.5) ? 1 : 2 + random.below(6) }, step)
    const set = (ms: number): void => {
      for (const id of ids) cluster.setClock(id, ms)
    }
    let timer: NodeJS.Timeout | undefined
    const next = (i: number): void => {
      set(steps[i]!)
      timer = i + 1 < steps.length ? setTimeout(() => next(i + 1), STROBE_STEP_MS) : undefined
    }
    next(0)
    const heal = (): void => {
      clearTimeout(timer)
      set(0)
    }
    return { what: `brokers ${ids} by ${steps.map(ms => Math.round(ms))} ms`, heal }
  }

  /** It is killed, its files are damaged, and it runs again. */
  async #damage(random: Random, damage: typeof flipBits): Promise<Begun> {
    const { cluster, victim, folders } = this.#world
    const isWanted = cluster.isWanted(victim)
    await cluster.killBroker(victim)
    const what = damage(cluster.member(victim).dir, folders, random)
    if (isWanted) void cluster.startBroker(victim)
    return { what: `broker ${victim}: ${what}`, heal: () => undefined }
  }

  async #etcd(random: Random): Promise<Begun> {
    const { etcd } = this.#world.cluster
    if (random.chance(0.5)) {
      await etcd.pause()
      return { what: 'pause', heal: () => etcd.resume() }
    }
    await etcd.kill()
    return { what: 'kill', heal: () => etcd.start() }
  }

  /** Everything is healed, and all brokers run. */
  async healAll(): Promise<void> {
    const { cluster, network, log } = this.#world
    log('heal all')
    for (const heal of this.#active.values()) await heal()
    this.#active.clear()
    network.heal()
    await Promise.all(cluster.members.map(({ id }) => cluster.startBroker(id)))
  }
}
