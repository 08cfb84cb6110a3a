import { join } from 'node:path'
import { KIND_COMMAND, KIND_EVENT } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import { Checkpointer } from './checkpointer.ts'
import { CommandRunner, type CommandTable, type Steps } from './command-runner.ts'
import type { Commands, LogView, PartitionToOpen } from './commands.ts'
import { CompletionWriter } from './completion-writer.ts'
import { failureOf } from './failure.ts'
import { removeLeftovers, removePartitions, sweep } from './folders.ts'
import type { FileSystem } from './fs.ts'
import { GroupCommit, type OwnedLog } from './group-commit.ts'
import { Journal } from './journal.ts'
import { keyOf } from './journalled.ts'
import { type LeftBehind, NOWHERE, readLeftBehind } from './left-behind.ts'
import { logCommands, viewOf } from './log-commands.ts'
import { OpenFiles } from './open-files.ts'
import { openPartition } from './open-partition.ts'
import { boundProducers } from './producer-bounds.ts'
import { ProtectedLogs } from './protected-logs.ts'
import { removalCommands } from './removal-commands.ts'
import { isDiskFull, Reserve, withReserve } from './reserve.ts'
import { roleCommands } from './role-commands.ts'
import { addUnreplayed } from './unreplayed.ts'
import type { SafePoint } from './worker-checkpoint.ts'

export interface PartitionStoreOptions {
  readonly files: FileSystem
  readonly dataDir: string
  /** Number of this worker; its journal is in `journal/<worker>`. */
  readonly worker: number
  /** Whether the last stop was clean: then nothing is replayed or verified. */
  readonly clean: boolean
  /** Of the main thread, which alone sends commands. */
  readonly requests: Ring
  /** Of the replication workers: batches for logs that follow. */
  readonly replicated?: readonly Ring[]
  readonly completions: Ring
  /** ms since the epoch. */
  readonly now: () => number
  /** ms of a clock that only goes forward. */
  readonly monotonic: () => number
  readonly journalFileBytes: number
  readonly bypassBytes: number
  /** Files of logs that may be open at once. */
  readonly openLogsMax: number
  /** Bytes that are free on the disk now. */
  readonly freeBytes: () => number
  /** Appends are refused while less than this is free, and what can wait is not written. */
  readonly keptFreeBytes: number
  /** Bytes of the file that gives way to what must be written on a full disk, at least. */
  readonly reserveBytes: number
  /** Called when the completion ring is full: returns when the main thread may have made room. */
  readonly waitForSpace: () => void
  /** There are completions: wakes the main thread. */
  readonly wakeMain: () => void
}

/** Idle work and flush.ms are looked at this often, in ms. */
const TICK_MS = 100
/** Under load the checkpoint is written this often, in ms, so that a start has little to verify. */
const CHECKPOINT_MS = 10_000

/** A partition that could not be opened. What is known of it is kept for the next start. */
interface UnopenedLog {
  readonly key: string
  readonly dir: string
  readonly safe: SafePoint
}

/**
 * Everything one partition worker owns: the logs, the journal, the group commit and the commands. It has no thread of
 * its own: the worker calls `turn` while there is work and `tick` when there is none, tests call them inline.
 */
export class PartitionStore {
  readonly #o: PartitionStoreOptions
  /** The options' file system with the reserve behind it. */
  readonly #files: FileSystem
  readonly #reserve: Reserve
  readonly #logs = new Map<number, OwnedLog>()
  readonly #unopened = new Map<number, UnopenedLog>()
  readonly #journalDir: string
  readonly #out: CompletionWriter
  readonly #group: GroupCommit
  readonly #commands: CommandRunner
  readonly #checkpoint: Checkpointer
  readonly #journal: Journal
  readonly #incarnation: number
  /** What the last run left, until all is open. */
  readonly #left: LeftBehind
  readonly #notes: string[] = []
  readonly #openLogs: OpenFiles<OwnedLog>
  readonly #protected: ProtectedLogs
  readonly #rings: readonly Ring[]
  #journalFailure: string | null = null
  #lastTick = 0
  #closed = false
  /** All partitions of all workers are open: before, the journals may hold what nobody has replayed. */
  #isReady = false
  /** And the checkpoint says so. */
  #isReadyWritten = false
  #workers = 0

  constructor(options: PartitionStoreOptions) {
    this.#o = options
    const { dataDir, worker } = options
    this.#journalDir = join(dataDir, 'journal', String(worker))
    this.#reserve = new Reserve(options.files, join(this.#journalDir, 'reserve'))
    const files = withReserve(options.files, this.#reserve)
    this.#files = files
    this.#out = new CompletionWriter(options.completions, options.waitForSpace)
    this.#left = readLeftBehind(files, dataDir, worker, options.clean)
    this.#notes.push(...this.#left.notes)
    this.#incarnation = this.#left.incarnation + 1
    this.#journal = new Journal(
      files,
      this.#journalDir,
      options.journalFileBytes,
      this.#incarnation,
    )
    const safePoints = () => this.#safePoints()
    const { revision } = this.#left
    const { monotonic } = options
    this.#checkpoint = new Checkpointer(files, this.#journalDir, monotonic, safePoints, revision)
    this.#protected = new ProtectedLogs({
      files,
      journalDir: this.#journalDir,
      journal: this.#journal,
      incarnation: this.#incarnation,
      checkpoint: this.#checkpoint,
      guard: this.#guard,
    })
    this.#openLogs = new OpenFiles<OwnedLog>(options.openLogsMax)
    this.#rings = [options.requests, ...(options.replicated ?? [])]
    this.#group = new GroupCommit({
      rings: this.#rings,
      logs: this.#logs,
      journal: this.#journal,
      now: options.now,
      monotonic: options.monotonic,
      bypassBytes: options.bypassBytes,
      journalFileBytes: options.journalFileBytes,
      beforeTurn: () => this.#protected.beforeTurn(),
      onPlaced: entries => {
        for (const at of entries) this.#out.place(options.requests, at)
        this.#tell()
      },
      onStability: ({ handle }, stability) => this.#out.stability(handle, stability),
      onWritten: owned => this.#openLogs.touch(owned),
      onJournalled: owned => this.#protected.note(owned),
      journalFailure: () => this.#journalFailure,
      refuses: () => (this.#isReady && !this.#isReadyWritten) || !this.#hasRoom(),
      onFailure: (owned, error) => this.#takeOffline(owned, error),
      onJournalFailure: error => this.#failJournal(error),
    })
    this.#commands = new CommandRunner({
      requests: options.requests,
      commands: this.#table,
      monotonic: options.monotonic,
      onFailure: (handle, error) => {
        const owned = this.#logs.get(handle)
        if (owned !== undefined) this.#takeOffline(owned, error)
      },
      onAnswer: (token, answer) => this.#out.send(KIND_COMMAND, token, answer),
    })
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Handles one group of appends, and takes a command that stands behind it. @returns false if there was nothing to do. */
  turn(): boolean {
    const { requests } = this.#o
    const rings = this.#rings
    this.#protected.flushAhead()
    const command = this.#group.gather()
    if (this.#group.isEmpty && command === -1) return false
    if (!this.#group.isEmpty) {
      this.#group.commit((ring, at) => this.#out.complete(ring, at, ring === requests))
      this.#checkpoint.isStale = true
    }
    if (command !== -1) this.#commands.take(command)
    for (const ring of rings) ring.release()
    for (const owned of this.#openLogs.excess()) this.#guard(owned, () => owned.log.closeFile())
    this.#tell()
    const now = this.#o.monotonic()
    if (now - this.#lastTick >= TICK_MS) this.#flushOverdue()
    if (now - this.#checkpoint.writtenAt >= CHECKPOINT_MS && this.#hasRoom()) {
      this.#safely(() => this.#protected.checkpointIfStale())
    }
    return true
  }

  /** Goes on with a command for a moment, between groups. @returns false if there is none */
  step(): boolean {
    if (this.#commands.isIdle) return false
    this.#commands.step()
    for (const owned of this.#openLogs.excess()) this.#guard(owned, () => owned.log.closeFile())
    this.#tell()
    return true
  }

  /** Work for idle moments: flush.ms, flushing what the journal protects, room in the journal. */
  tick(): void {
    if (this.#closed) return
    this.#flushOverdue()
    // All of this can wait until the disk has room.
    if (this.#hasRoom()) {
      this.#safely(() => {
        if (this.#isReady && !this.#isReadyWritten) this.#writeReady()
        this.#protected.flush()
        this.#protected.checkpointIfStale()
        if (this.#journal.isUsed) {
          this.#journal.preallocateSome()
          this.#reserve.ensure(Math.max(this.#o.reserveBytes, 2 * this.#checkpoint.bytes))
        }
      })
    }
    this.#tell()
  }

  #tell(): void {
    this.#out.publish()
    this.#o.wakeMain()
  }

  #hasRoom(): boolean {
    return this.#o.freeBytes() >= this.#o.keptFreeBytes
  }

  /**
   * Work on the journal and its checkpoint that can be done again: a failure takes every partition offline that needs them, but
   * for a disk without room, where nothing has changed.
   */
  #safely(action: () => void): void {
    if (this.#journalFailure !== null) return
    try {
      action()
    } catch (error) {
      if (!isDiskFull(error)) this.#failJournal(error)
    }
  }

  #flushOverdue(): void {
    const now = this.#o.monotonic()
    this.#lastTick = now
    for (const owned of this.#logs.values()) {
      const { log } = owned
      if (log.offline !== null || log.isDurable || log.unflushedRecords === 0) continue
      if (now - log.unflushedSince < log.config.flushMs) continue
      this.#guard(owned, () => log.flush(this.#hasRoom()))
      this.#checkpoint.isStale = true
    }
    boundProducers(() => this.#logs.values(), this.#guard)
  }

  #takeOffline(owned: OwnedLog, error: unknown): void {
    if (owned.log.offline !== null) return
    const failure = failureOf(error)
    owned.log.fail(failure.reason)
    this.#out.send(KIND_EVENT, 0, { event: 'offline', handle: owned.handle, ...failure })
  }

  /** Without its journal a worker can make no small write durable: every such partition goes offline. */
  #failJournal(error: unknown): void {
    this.#journalFailure = error instanceof Error ? error.message : String(error)
    for (const owned of this.#logs.values()) {
      if (owned.log.isDurable) this.#takeOffline(owned, `journal: ${this.#journalFailure}`)
    }
  }

  readonly #guard = (owned: OwnedLog, action: () => void): void => {
    try {
      action()
    } catch (error) {
      this.#takeOffline(owned, error)
    }
  };

  *#safePoints(): Generator<readonly [string, SafePoint]> {
    for (const { key, safe } of this.#unopened.values()) yield [key, safe]
    const { start } = this.#left
    for (const { key, log, flushedSequence } of this.#logs.values()) {
      const { logStartOffset, recoveryPoint, scanFrom, highWatermark } = log
      if (log.nextOffset + logStartOffset + flushedSequence === 0) continue
      yield [
        key,
        {
          ...{ logStartOffset, recoveryPoint, scanFrom, start },
          ...(flushedSequence > 0 && { flushedSequence }),
          ...(Number.isFinite(highWatermark) && { highWatermark }),
        },
      ]
    }
  }

  /** The journals of the last run count no more. On a full disk it is written when there is room: until then nothing is appended. */
  #writeReady(): void {
    // Other workers may not have written their checkpoints yet: nothing that was known may be lost in between.
    const others = this.#left.safePoints
    if (!this.#checkpoint.tryToWrite(this.#incarnation - 1, 0, others)) return
    this.#left.safePoints.clear()
    this.#isReadyWritten = true
    if (this.#o.worker === 0) removeLeftovers(this.#files, this.#o.dataDir, this.#workers)
  }

  /** Of what only the logs know, when nothing of the journal has been flushed. @throws also if the disk is full */
  #checkpointLogs(): void {
    if (this.#journalFailure !== null) throw new Error(`journal: ${this.#journalFailure}`)
    try {
      this.#checkpoint.write(this.#incarnation - 1, this.#checkpoint.flushedSequence)
    } catch (error) {
      if (!isDiskFull(error)) this.#failJournal(error)
      throw error
    }
  }

  /** How to run each command. One that throws on a partition's files takes that partition offline. */
  readonly #table: CommandTable = {
    ...logCommands({
      files: () => this.#files,
      now: () => this.#o.now(),
      find: handle => this.#logs.get(handle)?.log,
      log: handle => this.#owned(handle).log,
      online: handle => this.#online(handle).log,
      guard: (handle, action) => this.#guard(this.#owned(handle), action),
      takeOffline: (handle, reason) => this.#takeOffline(this.#owned(handle), reason),
      journalFailure: () => this.#journalFailure,
    }),
    open: request => this.#openAll(request),
    sweep: ({ folders, deleted }) => {
      const known = { deleted: new Set(deleted), journalled: this.#left.journalled }
      return { notes: sweep(this.#files, this.#o.dataDir, folders, known) }
    },
    ready: ({ workers }) => {
      this.#isReady = true
      this.#left.journalled.clear()
      this.#workers = workers
      this.#safely(() => this.#writeReady())
      if (this.#journalFailure !== null) throw new Error(this.#journalFailure)
      return null
    },
    ...removalCommands({
      now: () => this.#o.now(),
      monotonic: () => this.#o.monotonic(),
      findOnline: handle => this.#findOnline(handle),
      hasRoom: () => this.#hasRoom(),
      guard: this.#guard,
      checkpoint: () => this.#checkpointLogs(),
    }),
    ...roleCommands({
      files: () => this.#files,
      journalSequence: () => this.#journal.sequence,
      findOnline: handle => this.#findOnline(handle),
      guard: this.#guard,
      checkpoint: () => this.#checkpointLogs(),
    }),
    delete: ({ handles }) => this.#deleteAll(handles),
    settle: ({ handle }) => {
      this.#online(handle)
      this.#checkpointLogs()
      return null
    },
    giveUp: ({ handle, reason }) => {
      this.#takeOffline(this.#owned(handle), reason)
      return null
    },
    close: () => this.#close(),
  }

  #owned(handle: number): OwnedLog {
    const owned = this.#logs.get(handle)
    if (owned === undefined) throw new Error(`partition ${handle} is not open here`)
    return owned
  }

  *#openAll(request: Commands['open']['request']): Steps<Commands['open']['response']> {
    const { partitions, recovering, deleted } = request
    const unflushed: OwnedLog[] = []
    const ids = new Set(deleted)
    const opened: LogView[] = []
    for (const partition of partitions) {
      opened.push(this.#open(partition, recovering, ids, unflushed))
      yield
    }
    // All at once: the first flush takes most of the others' work with it.
    if (unflushed.length > 0) this.#files.fsyncDir(this.#o.dataDir)
    for (const owned of unflushed) {
      yield
      this.#guard(owned, () => this.#files.fsyncDir(owned.log.dir))
    }
    const views = opened.map(view => {
      const log = this.#logs.get(view.handle)?.log
      return log === undefined ? view : viewOf(view.handle, log)
    })
    return { views, notes: this.#notes.splice(0) }
  }

  *#deleteAll(handles: readonly number[]): Steps<Commands['delete']['response']> {
    const dirs = handles.map(handle => this.#forget(handle)).filter(dir => dir !== null)
    if (dirs.length > 0) this.#checkpoint.isStale = true
    return yield* removePartitions(this.#files, this.#o.dataDir, dirs)
  }

  #findOnline(handle: number): OwnedLog | undefined {
    const owned = this.#logs.get(handle)
    return owned?.log.offline === null ? owned : undefined
  }

  /** Its files may be touched: after a failure nothing is tried on them again. */
  #online(handle: number): OwnedLog {
    const owned = this.#owned(handle)
    if (owned.log.offline !== null) throw new Error(`offline: ${owned.log.offline}`)
    return owned
  }

  /** Opens a partition: at the start of the broker with recovery, later as a new and empty one. */
  #open(
    p: PartitionToOpen,
    recovering: boolean,
    deleted: ReadonlySet<string>,
    unflushed: OwnedLog[],
  ): LogView {
    const files = this.#files
    const { dataDir, clean } = this.#o
    const { handle, partition } = p
    const key = keyOf(p.topicId, p.partition)
    const safe = this.#left.safePoints.get(key) ?? NOWHERE
    const dir = join(dataDir, p.name)
    // Opened anew, as an empty one: what the journal has of it belongs to what was there.
    const isAnew = this.#forget(handle) !== null
    try {
      const known = { left: this.#left, deleted, clean, notes: this.#notes }
      const { log, isNew } = openPartition(files, dataDir, p, recovering, known)
      const topicId = Buffer.from(p.topicId, 'base64url')
      const flushedSequence = isAnew ? this.#journal.sequence : 0
      const none = { groupBytes: 0, flushedSequence }
      const owned: OwnedLog = { log, key, handle, partition, topicId, ...none }
      if (p.leaderEpoch >= 0) log.role = { leads: true, epoch: p.leaderEpoch }
      else log.highWatermark = Math.min(safe.highWatermark ?? 0, log.nextOffset)
      this.#logs.set(handle, owned)
      if (isAnew) this.#checkpointLogs()
      if (isNew) this.#openLogs.touch(owned)
      // After a kill even names that are there may not be on the disk.
      if (isNew || !clean) unflushed.push(owned)
      if (this.#journalFailure !== null && log.isDurable) {
        this.#takeOffline(owned, `journal: ${this.#journalFailure}`)
      }
      return viewOf(handle, log)
    } catch (error) {
      const failure = failureOf(error)
      const { reason: offline, stack } = failure
      if (stack !== null) this.#out.send(KIND_EVENT, 0, { event: 'offline', handle, ...failure })
      this.#left.journalled.with(key, entries => {
        addUnreplayed(files, dir, entries)
        const kept = `${dir}: ${entries.length} journal entries are kept`
        if (entries.length > 0) this.#notes.push(kept)
      })
      this.#unopened.set(handle, { key, dir, safe })
      const nothing = { logStartOffset: 0, nextOffset: 0, segments: [], epochs: [] }
      return { handle, ...nothing, undecided: null, highWatermark: null, offline }
    }
  }

  /** @returns the partition's folder, if it has one here */
  #forget(handle: number): string | null {
    const owned = this.#logs.get(handle)
    const dir = owned?.log.dir ?? this.#unopened.get(handle)?.dir ?? null
    this.#logs.delete(handle)
    this.#unopened.delete(handle)
    if (owned !== undefined) {
      this.#protected.forget(owned)
      this.#openLogs.forget(owned)
      for (const segment of owned.log.segments) this.#guard(owned, () => segment.close())
    }
    return dir
  }

  #close(): { clean: boolean } {
    let clean = this.#isReady && this.#journalFailure === null && this.#unopened.size === 0
    for (const owned of this.#logs.values()) {
      this.#guard(owned, () => owned.log.close())
      if (owned.log.offline !== null) clean = false
    }
    if (clean) clean = this.#checkpoint.tryToWrite(this.#incarnation, 0)
    this.#journal.close()
    this.#closed = true
    return { clean }
  }
}
