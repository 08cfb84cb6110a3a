import { join } from 'node:path'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import type { LogView } from '../../src/storage/commands.ts'
import { plainBatch } from './batches.ts'
import { Broken, checkLog, promise } from './crash-checks.ts'
import { copyWorld, type Kept, Model, type World } from './crash-model.ts'
import { Crashed, MemoryFs } from './memory-fs.ts'
import { Random } from './random.ts'
import { DATA_DIR, LOG_CONFIG, StoreDriver } from './store-driver.ts'

const JOURNAL_BYTES = 32 * 1024
const BYPASS_BYTES = 6 * 1024
const SEGMENT_BYTES = 24 * 1024
const PRODUCER_BATCHES = 5
/** Changes of a run, each a planted bug that the run has to find: they wrap what the engine is given. */
export interface Mutation {
  readonly files?: (files: MemoryFs) => void
  readonly driver?: (driver: StoreDriver) => void
}

/**
 * One run: random work on a store in memory, a crash at a random call or moment, several images of what it may have
 * left; each is recovered and compared with what was promised, and the run goes on with the last one.
 */
export class CrashRun {
  readonly #random: Random
  readonly #mutation: Mutation
  #files: MemoryFs
  #world: World
  #drivers: StoreDriver[] = []
  images = 0
  acknowledged = 0

  constructor(seed: number, mutation: Mutation = {}) {
    this.#random = new Random(seed)
    this.#mutation = mutation
    this.#files = new MemoryFs(new Random(seed + 1))
    mutation.files?.(this.#files)
    this.#world = { models: [], deleted: [], clean: false, workers: 1, nextId: 1, now: 1_000_000 }
    const topics = 1 + this.#random.below(3)
    for (let i = 0; i < topics; i++) this.#world.models.push(this.#newModel(i))
    this.#start(this.#files, this.#world)
  }

  #newModel(topic: number, generation = 0, name = `topic${topic}`): Model {
    const topicId = Buffer.alloc(16)
    topicId.writeUInt32BE(topic + 1, 0)
    topicId.writeUInt32BE(generation + 1, 12)
    return new Model({
      handle: topic,
      name: `${name}-0`,
      topicId: topicId.toString('base64url'),
      partition: 0,
      leaderEpoch: 0,
      config: { ...LOG_CONFIG, ...this.#someConfig() },
    })
  }

  #someConfig() {
    const r = this.#random
    return {
      segmentBytes: r.chance(0.5) ? SEGMENT_BYTES : 1 << 20,
      retentionBytes: r.chance(0.2) ? SEGMENT_BYTES * 2 : -1,
      flushMessages: r.chance(0.75) ? 1 : r.pick([20, Number.MAX_SAFE_INTEGER]),
    }
  }

  /** One round: work, crash, images. @returns the images that were recovered */
  round(imagesMax: number): void {
    const r = this.#random
    const crashAt = r.chance(0.7) ? 1 + r.below(r.pick([5, 50, 400])) : 0
    if (crashAt > 0) this.#files.arm({ at: crashAt, code: 'crash' })
    const steps = 1 + r.below(r.pick([4, 30, 80]))
    for (let i = 0; i < steps && !this.#files.hasCrashed; i++) this.#step()
    const before = this.#files
    const world = this.#world
    for (let i = 0; i < imagesMax; i++) {
      this.images++
      const kill = r.chance(0.15)
      let files = kill
        ? before.clone(new Random(r.below(1e9)))
        : before.image(new Random(r.below(1e9)))
      this.#mutation.files?.(files)
      if (r.chance(0.2)) this.#damageCopy(files)
      const next = copyWorld(world)
      for (let again = r.chance(0.3) ? 1 + r.below(2) : 0; again > 0; again--) {
        files = this.#crashAmidRecovery(files, next)
      }
      this.#files = files
      this.#world = next
      this.#start(files, next)
    }
  }

  /** One copy of a worker's checkpoint is hit on top: the other one is enough. */
  #damageCopy(files: MemoryFs): void {
    const r = this.#random
    const copies = files.list().filter(path => /journal\/\d+\/checkpoint(\.2)?$/.test(path))
    if (copies.length === 0) return
    const path = r.pick(copies)
    const file = files.peek(path)!
    if (r.chance(0.5) || file.size === 0) files.unlink(path)
    else {
      const at = r.below(file.size)
      file.damage(bytes => {
        bytes[at]! ^= 1 << r.below(8)
      })
    }
  }

  #crashAmidRecovery(files: MemoryFs, world: World): MemoryFs {
    const r = this.#random
    files.arm({ at: 1 + r.below(120), code: 'crash' })
    try {
      this.#start(files, copyWorld(world), false)
    } catch (error) {
      if (!files.hasCrashed) throw error
    }
    // A start that went through has removed the marker of a clean stop.
    const after = r.chance(0.2)
      ? files.clone(new Random(r.below(1e9)))
      : files.image(new Random(r.below(1e9)))
    after.fault = null
    this.#mutation.files?.(after)
    world.clean = false
    return after
  }

  /** Opens all partitions as the broker does, and checks them. */
  #start(files: MemoryFs, world: World, checks = true): void {
    const r = this.#random
    if (checks) files.fault = null
    if (r.chance(0.2)) world.workers = 1 + r.below(3)
    files.nowMs = world.now
    const { clean } = world
    world.clean = false
    this.#drivers = Array.from({ length: world.workers }, (_, worker) => {
      const driver = new StoreDriver({
        files,
        worker,
        clean,
        journalFileBytes: JOURNAL_BYTES,
        bypassBytes: BYPASS_BYTES,
        // Now and then files are closed and opened again all the time.
        openLogsMax: this.#random.pick([1, 100]),
        now: () => world.now,
      })
      this.#mutation.driver?.(driver)
      return driver
    })
    const views = new Map<number, LogView>()
    for (const [worker, driver] of this.#drivers.entries()) {
      const own = world.models.filter(m => m.open.handle % world.workers === worker)
      const opened = driver.open(
        own.map(m => m.open),
        true,
        world.deleted,
      )
      for (const view of opened) views.set(view.handle, view)
    }
    const names = world.models.map(({ open }) => open.name)
    const folders = files.readdir(DATA_DIR).filter(n => /-\d+$/.test(n) && !names.includes(n))
    this.#drivers[0]!.command('sweep', { folders, deleted: world.deleted })
    // `ready` is told to all at once; in which order they do it is open.
    const order = this.#drivers.map((_, i) => i).sort(() => r.next() - 0.5)
    for (const i of order) this.#drivers[i]!.command('ready', { workers: world.workers })
    world.deleted = []
    if (!checks) return
    for (const model of world.models) model.follows = false
    this.#checkFolders(files, names)
    for (const model of world.models) checkLog(files, model, views.get(model.open.handle)!)
  }

  /** Nothing is left of deleted topics, and nothing is taken for a stray: every folder's owner is known here. */
  #checkFolders(files: MemoryFs, names: readonly string[]): void {
    const found = files.readdir(DATA_DIR).filter(name => name !== 'journal')
    const extra = found.filter(name => !names.includes(name))
    promise(extra.length === 0, `left behind: ${extra}`)
  }

  #driverOf(model: Model): StoreDriver {
    return this.#drivers[model.open.handle % this.#world.workers]!
  }

  #step(): void {
    const r = this.#random
    const world = this.#world
    world.now += r.below(300)
    this.#files.nowMs = world.now
    try {
      const kind = r.next()
      if (kind < 0.72) this.#appends()
      else if (kind < 0.84) for (const driver of this.#drivers) driver.tick()
      else if (kind < 0.89) this.#deleteRecords(r.pick(world.models))
      else if (kind < 0.93) this.#retention(r.pick(world.models))
      else if (kind < 0.95) this.#recreate(r.below(world.models.length))
      else if (kind < 0.965) this.#restart()
      else if (kind < 0.975) this.#changeRole(r.pick(world.models), r.chance(0.5))
      else if (kind < 0.985) this.#truncate(r.pick(world.models))
      else if (kind < 0.987) this.#startAnew(r.pick(world.models))
      else if (kind < 0.994) this.#configure(r.pick(world.models))
      else this.#rebuildIndexes(r.pick(world.models))
    } catch (error) {
      if (!this.#files.hasCrashed) throw error
      promise(!(error instanceof Broken), String(error))
    }
  }

  /** Several batches to several partitions, which make one group or a few. */
  #appends(): void {
    const r = this.#random
    const { models } = this.#world
    const sent = new Map<number, { model: Model; kept: Kept; isRetry: boolean }>()
    const count = 1 + r.below(r.pick([1, 4, 12]))
    const large = r.chance(0.15)
    for (let i = 0; i < count; i++) {
      const model = r.pick(models)
      const { kept, isRetry } = this.#nextBatch(model, large)
      const token = this.#send(model, kept.bytes)
      sent.set(this.#key(model, token), { model, kept, isRetry })
      if (!isRetry) model.maybe.push(kept.id)
    }
    for (const driver of this.#drivers) {
      const outcomes = driver.run()
      this.#mustLive()
      for (const o of outcomes) {
        const { model, kept, isRetry } = sent.get(o.handle * 1e9 + o.token)!
        promise(
          o.error === ErrorCode.NONE,
          `${model.open.name}: batch ${kept.id}: error ${o.error}`,
        )
        this.acknowledged++
        if (isRetry) {
          promise(o.duplicate, `${model.open.name}: a retry of batch ${kept.id} was appended`)
          promise(o.baseOffset === kept.offset, `${model.open.name}: a retry got ${o.baseOffset}`)
          continue
        }
        promise(!o.duplicate, `${model.open.name}: batch ${kept.id} was taken for a retry`)
        promise(
          o.baseOffset === model.end,
          `${model.open.name}: batch ${kept.id} at ${o.baseOffset}`,
        )
        model.end += batch.lastOffsetDelta(kept.bytes) + 1
        model.kept.push({ ...kept, offset: o.baseOffset, isPromised: model.isDurable })
        model.noteSequence(kept)
        model.maybe = model.maybe.filter(id => id !== kept.id)
      }
    }
  }

  /** Where it follows, as its leader has it: behind what was sent before, be it answered or not. */
  #send(model: Model, bytes: Buffer): number {
    const driver = this.#driverOf(model)
    if (!model.follows) return driver.submit(model.open, bytes)
    const before = model.maybe.map(id => model.submitted.get(id)!)
    const waiting = before.reduce((sum, one) => sum + batch.lastOffsetDelta(one) + 1, 0)
    const copy = Buffer.from(bytes)
    batch.assign(copy, model.end + waiting, model.open.leaderEpoch)
    return driver.replicate(model.open, copy)
  }

  #key(model: Model, token: number): number {
    return model.open.handle * 1e9 + token
  }

  #nextBatch(model: Model, large: boolean): { kept: Kept; isRetry: boolean } {
    const r = this.#random
    const producer = r.chance(0.6) ? model.firstProducer + r.below(2) : -1
    const own = model.kept.filter(k => k.producer === producer)
    const pending = model.maybe.some(id => batch.producerId(model.submitted.get(id)!) === producer)
    const knows = !model.follows
    const recent = own.slice(-PRODUCER_BATCHES).filter(k => this.#isRecalled(model, k))
    if (knows && producer >= 0 && !pending && recent.length > 0 && r.chance(0.25)) {
      return { kept: r.pick(recent), isRetry: true }
    }
    const records = 1 + r.below(4)
    const id = this.#world.nextId++
    const sequence = producer < 0 ? -1 : (model.sequences.get(producer) ?? 0)
    const contentBytes = large ? 3000 + r.below(9000) : 4 + r.below(r.pick([40, 900]))
    const timestamp = this.#world.now - r.below(1000)
    const bytes = plainBatch({
      id,
      records,
      contentBytes,
      timestamp,
      producerId: producer,
      sequence,
    })
    model.submitted.set(id, bytes)
    if (producer >= 0) model.sequences.set(producer, sequence + records)
    const kept = { id, offset: -1, bytes, producer, sequence, isPromised: false }
    return { kept, isRetry: false }
  }

  /** Whether the engine promises to know the batch again: not from records that were deleted with their segment. */
  #isRecalled(model: Model, kept: Kept): boolean {
    return kept.offset >= model.start
  }

  #deleteRecords(model: Model): void {
    const offset = model.start + this.#random.below(model.end - model.start + 1)
    model.startMax = Math.max(model.startMax, offset)
    const { handle } = model.open
    const view = this.#driverOf(model).deleteRecords(handle, offset)
    this.#mustLive()
    promise(view.logStartOffset === offset, `${model.open.name} starts at ${view.logStartOffset}`)
    model.start = offset
  }

  /** Another epoch begins, led here or elsewhere. */
  #changeRole(model: Model, follows: boolean): void {
    const { open } = model
    model.open = { ...open, leaderEpoch: open.leaderEpoch + 1 }
    model.follows = follows
    const { handle, leaderEpoch: epoch } = model.open
    const items = [{ handle, epoch, highWatermark: follows ? model.start : model.end }]
    this.#driverOf(model).command(follows ? 'follow' : 'lead', { items })
    this.#mustLive()
    // What comes too late changes nothing.
    const bytes = plainBatch({ id: this.#world.nextId++, contentBytes: 20 })
    batch.assign(bytes, model.end, open.leaderEpoch)
    const driver = this.#driverOf(model)
    if (this.#random.chance(0.5)) driver.submit(model.open, bytes, open.leaderEpoch)
    else driver.replicate(model.open, bytes, open.leaderEpoch)
    const [late] = driver.run()
    this.#mustLive()
    promise(late!.error === ErrorCode.NOT_LEADER_OR_FOLLOWER, `${open.name}: ${late!.error}`)
  }

  /** Its leader has other records from an offset on. */
  #truncate(model: Model): void {
    if (!model.follows) this.#changeRole(model, true)
    const r = this.#random
    const { handle, leaderEpoch: epoch, name } = model.open
    const from = r.chance(0.5) ? model.start : Math.max(model.start, model.end - 20)
    const offset = from + r.below(model.end - from + 1)
    const endOf = (kept: Kept): number => kept.offset + batch.lastOffsetDelta(kept.bytes) + 1
    const stays = (kept: Kept): boolean => endOf(kept) <= offset
    model.kept = model.kept.map(k => (stays(k) ? k : { ...k, isPromised: false }))
    const items = [{ handle, epoch, offset }]
    const { views } = this.#driverOf(model).command('truncate', { items })
    this.#mustLive()
    model.kept = model.kept.filter(stays)
    const last = model.kept.at(-1)
    const end = last === undefined ? model.start : Math.max(model.start, endOf(last))
    promise(views.length === 1 && views[0]!.offline === null, `${name} was not cut`)
    promise(views[0]!.nextOffset === end, `${name} ends at ${views[0]!.nextOffset}, not at ${end}`)
    model.end = end
    this.#forgetSequences(model)
  }

  /** What is known of the producers is what the records that are left say of them. */
  #forgetSequences(model: Model): void {
    const producers = [model.firstProducer, model.firstProducer + 1]
    const isKnown = (producer: number): boolean =>
      model.kept.some(k => k.producer === producer && k.offset >= model.start)
    model.sequences.clear()
    model.acknowledged.clear()
    if (!producers.every(isKnown)) model.firstProducer += 2
    else for (const kept of model.kept) model.noteSequence(kept)
    for (const [producer, next] of model.acknowledged) model.sequences.set(producer, next)
  }

  /** Its leader's log starts behind its end. */
  #startAnew(model: Model): void {
    if (!model.follows) this.#changeRole(model, true)
    const { handle, leaderEpoch: epoch } = model.open
    const r = this.#random
    const offset = r.chance(0.3) ? model.end : model.end + 1 + r.below(100)
    model.startMax = offset
    model.kept = model.kept.map(k => ({ ...k, isPromised: false }))
    this.#driverOf(model).command('startAnew', { handle, epoch, offset })
    this.#mustLive()
    model.kept = []
    model.start = offset
    model.end = offset
    this.#forgetSequences(model)
  }

  #retention(model: Model): void {
    model.startMax = Math.max(model.startMax, model.end)
    const { views } = this.#driverOf(model).command('retention', { handles: [model.open.handle] })
    this.#mustLive()
    for (const view of views) model.start = Math.max(model.start, view.logStartOffset)
  }

  /** A topic's configs are changed: the metadata store knows first. */
  #configure(model: Model): void {
    const { config, handle } = model.open
    const changed = { ...config, ...this.#someConfig() }
    model.open = { ...model.open, config: changed }
    if (!model.isDurable) model.isLoose = true
    if (this.#random.chance(0.1)) throw this.#die()
    this.#driverOf(model).command('configure', { handles: [handle], config: changed })
    this.#mustLive()
    if (model.isDurable) model.promiseAll()
  }

  /** A reader has found the indexes of a segment damaged. */
  #rebuildIndexes(model: Model): void {
    const { handle, name } = model.open
    const logs = this.#files.readdir(join(DATA_DIR, name)).filter(file => file.endsWith('.log'))
    const base = Number(this.#random.pick(logs).slice(0, -'.log'.length))
    this.#driverOf(model).command('rebuildIndexes', { handle, base })
    this.#mustLive()
  }

  /** A topic is deleted and another one made, with the same name or not: the metadata store knows first. */
  #recreate(index: number): void {
    const { models, deleted } = this.#world
    const r = this.#random
    const old = models[index]!
    const driver = this.#driverOf(old)
    const generation = this.#world.nextId++
    const again = this.#newModel(
      index,
      generation,
      r.chance(0.5) ? `again${generation}-topic` : undefined,
    )
    models[index] = again
    deleted.push(old.open.topicId)
    if (r.chance(0.2)) throw this.#die()
    const { failed } = driver.command('delete', { handles: [old.open.handle] })
    this.#mustLive()
    promise(failed.length === 0, `not removed: ${failed}`)
    this.#world.deleted = deleted.filter(id => id !== old.open.topicId)
    driver.open([again.open], false, this.#world.deleted)
  }

  /** What a process tells that died in the same moment, nobody hears. */
  #mustLive(): void {
    if (this.#files.hasCrashed) throw new Crashed('amid a turn')
  }

  #die(): Crashed {
    this.#files.hasCrashed = true
    return new Crashed('between two calls')
  }

  #restart(): void {
    const answers = this.#drivers.map(driver => driver.command('close', {}))
    this.#mustLive()
    promise(
      answers.every(a => a.clean),
      'a stop was not clean',
    )
    promise(this.#files.openFiles.length === 0, `left open: ${this.#files.openFiles}`)
    this.#world.clean = true
    if (this.#random.chance(0.5)) {
      // The data folder's marker is flushed by the main thread; then the power may go.
      this.#files.hasCrashed = true
      return
    }
    this.#start(this.#files, this.#world)
  }
}
