import type { Json } from '../../src/metadata/store.ts'
import type { Bugs } from './bugs.ts'
import type { CheckedNode, Checks } from './checks.ts'
import { type Disk, SimDisk } from './disk.ts'
import type { SimEtcd } from './etcd.ts'
import type { LogContent } from './log-content.ts'
import type { Network } from './network.ts'
import { Process } from './process.ts'
import { RealDisk, type RealLogs } from './real-disk.ts'
import type { World } from './world.ts'

export interface Settings {
  readonly ttlMs: number
  readonly lagTimeMs: number
  readonly preferredMs: number
  /** Each replica compacts its log by itself. */
  readonly compacts: boolean
  readonly bugs: Bugs
  /** The logs are those of storage; null: they are modelled. */
  readonly real: RealLogs | null
}

/** Everything that a broker can reach or be looked at by. */
export interface Surroundings {
  readonly world: World
  readonly etcd: SimEtcd
  readonly network: Network
  readonly checks: Checks
  readonly settings: Settings
  readonly nodes: readonly SimNode[]
}

/** A machine with a disk, on which a broker runs or does not. */
export class SimNode implements CheckedNode {
  readonly id: number
  /** There when it has joined. */
  disk!: Disk
  readonly damaged = new Set<string>()
  dir: string
  process: Process | null = null
  /** Of its clock: ms a ms. */
  readonly drift: number
  /** ms that its monotonic clock has missed, as it does while a machine is suspended. */
  missed = 0
  /** The folder has the mark of a clean stop, or never ran. */
  isClean = true
  /** Nothing was ever on this disk. */
  isFresh = false
  isReplacement = false
  /** The records may still count on the one before. */
  isNew = false
  hasLostTail = false
  /** Since it was last let in. */
  hasLostPower = false
  flushMsMax = 2
  /** Its disk has no room: nothing is appended. */
  isFull = false
  starts = 0
  #around: Surroundings | null = null

  constructor(id: number, drift: number) {
    this.id = id
    this.drift = drift
    this.dir = `d${id}`
  }

  join(around: Surroundings): void {
    this.#around = around
    const { real } = around.settings
    this.disk = real === null ? new SimDisk(around) : new RealDisk(this, around, real)
  }

  get isUp(): boolean {
    return this.process !== null
  }

  log(key: string): LogContent | null {
    return this.disk.logs.get(key) ?? null
  }

  isExcused(key: string): boolean {
    return this.isNew || this.damaged.has(key) || this.hasLostTail
  }

  start(): void {
    if (this.process !== null) return
    const { world } = this.#around!
    const after = this.hasLostPower ? 'recovered' : this.isClean ? 'clean' : 'killed'
    const kind = this.isFresh ? 'new' : after
    this.isFresh = false
    world.note('start', this.id, kind)
    this.disk.recover(this.isClean)
    this.isClean = false
    this.starts++
    this.process = new Process(this, this.#around!, kind)
  }

  crash(isPowerCut: boolean): void {
    const { world } = this.#around!
    world.note(isPowerCut ? 'power cut' : 'kill', this.id)
    if (isPowerCut) this.hasLostPower = true
    if (isPowerCut && this.#isAnythingNotDurable()) this.hasLostTail = true
    this.process?.end()
    this.process = null
    this.disk.crash(isPowerCut)
  }

  /** The process ends in order. */
  stopped(): void {
    this.process?.end()
    this.process = null
    this.disk.stopped()
  }

  /** Another disk, empty. */
  replaceDisk(): void {
    this.dir = `${this.dir}'`
    this.isReplacement = true
    this.disk.replace()
    this.damaged.clear()
    this.isNew = true
    this.isFresh = true
    this.#around!.world.note('new disk', this.id)
  }

  /** Of a registration that the controller has let in: nothing of what it lost is counted on. */
  admitted(): void {
    // Of the life that is running, not of one before it lost something.
    const entry = this.#around!.etcd.get(`brokers/${this.id}`)!
    const { incarnation } = entry.value as { incarnation: string }
    if (incarnation !== this.process?.incarnation) return
    this.isNew = false
    this.hasLostTail = false
    this.hasLostPower = false
  }

  #isAnythingNotDurable(): boolean {
    return [...this.disk.logs.keys()].some(key => {
      const value = this.#around!.etcd.get(key)?.value as { [name: string]: Json } | undefined
      return value?.durable === false
    })
  }
}
