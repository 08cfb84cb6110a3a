import * as fs from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { assert } from '../assert.ts'
import { LocalMetadataStore } from '../metadata/local.ts'
import type { Change } from '../metadata/store.ts'
import { type FileSystem, realFileSystem } from '../storage/fs.ts'
import { brokerKey } from './broker-keys.ts'
import { CLEAN, isSameStart, readMarker, type Start, writeMarker } from './clean-mark.ts'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import {
  checkIdentity,
  checkMeta,
  DataDirError,
  type Identity,
  readMeta,
  writeMeta,
} from './identity.ts'
import { dataIn, hasMetadata, JOURNALS, META, missingJournals, someOf } from './inventory.ts'
import { FolderTaken } from './lock-claims.ts'
import { randomUuid } from './uuid.ts'

export { DataDirError } from './identity.ts'

/** Key of the metadata: whose folder this is, the second copy of meta.properties. */
export const IDENTITY = 'identity'
/** Key of the metadata: the address of the cluster's metadata, if the folder is part of one. */
export const JOINED = 'cluster'
/** Key of the metadata: the newest revision of the cluster's metadata that a broker with this folder has noted. */
export const SEEN = 'cluster-revision'
/** Key of the metadata: see DataDir.boot. */
const BOOT = 'boot'
/** Kafka's metadata log: no other broker has it. */
const KAFKAS = '__cluster_metadata-0'

/**
 * The data folder as a whole: one live broker at a time (folder-lock.ts), whose cluster it belongs to, its metadata, and
 * whether it was left clean. What holds anything of ours is never new: what is missing is taken from its second copy, or
 * the start is refused. File names are Kafka's.
 */
export class DataDir {
  readonly path: string
  readonly store: LocalMetadataStore
  readonly clusterId: string
  /** Whether the last stop flushed everything. The marker is gone from now on. */
  readonly wasClean: boolean
  /** Nothing was here before. */
  readonly isNew: boolean
  /** What was mended at this start, one sentence each. */
  readonly notes: readonly string[]
  readonly #files: FileSystem
  readonly #nodeId: number
  readonly #lock: FolderLock
  readonly #identity: Identity
  #start: Start | null = null

  /**
   * @param locked a file system over a folder that is there, for a caller that has its lock and starts no broker
   * @throws DataDirError, MetadataCorrupt
   */
  constructor(
    path: string,
    nodeId: number,
    clusterId: string | null,
    locked: FileSystem | null = null,
  ) {
    const files = locked ?? realFileSystem
    this.#files = files
    this.path = locked === null ? makeFolder(path) : path
    this.#nodeId = nodeId
    checkNotKafkas(files, this.path)
    this.#lock = locked === null ? lock(this.path) : HELD_BY_CALLER
    try {
      const notes: string[] = []
      const meta = readMeta(files, this.path)
      if (meta !== null) this.#hold()
      checkMeta(this.path, meta, nodeId, clusterId)
      const isHeadless = !hasMetadata(files, this.path)
      if (isHeadless) refuseHeadless(this.path, dataIn(files, this.path))
      this.isNew = isHeadless && meta === null
      const marker = readMarker(files, this.path)
      const isMarked = (store: LocalMetadataStore): boolean =>
        isSameStart(store.peek(this.#startKey), marker)
      this.store = new LocalMetadataStore(files, this.path, isMarked)
      try {
        if (this.store.revision === 0) refuseEmpty(files, this.path)
        this.#identity = this.#identify(meta, clusterId, notes)
        this.clusterId = this.#identity.clusterId
        this.#checkJournals()
        this.wasClean = this.isNew || isMarked(this.store)
        if (this.wasClean) this.#start = this.store.peek(this.#startKey) as Start | null
        if (marker !== null) this.#removeMarker(notes)
        this.notes = [...this.store.notes, ...notes]
      } catch (error) {
        void this.store.close()
        throw error
      }
    } catch (error) {
      this.unlock()
      throw error
    }
  }

  /** Drawn when the folder was made: tells it from every other. */
  get directoryId(): string {
    return this.#identity.directoryId
  }

  /**
   * Of which cluster's metadata the folder is; null: it has its own. Topics of a cluster are not in the folder: a broker
   * alone would take their records for nobody's.
   */
  get cluster(): string | null {
    return this.store.peek(JOINED) as string | null
  }

  /**
   * The boot of the system in which a broker with this folder last had its place in the cluster: while that lasts, what was written
   * and not flushed is there. Null: nobody knows.
   */
  get boot(): string | null {
    return this.store.peek(BOOT) as string | null
  }

  /** A broker with this folder has its place in the cluster, in this boot. */
  async noteBoot(boot: string | null): Promise<void> {
    if (this.boot !== boot) await this.store.transact([], [{ key: BOOT, value: boot }])
  }

  /** A broker with this folder has seen the cluster's metadata at this revision: one that is older is out of a backup. */
  async noteRevision(revision: number): Promise<void> {
    if (this.store.peek(SEEN) === revision) return
    await this.store.transact([], [{ key: SEEN, value: revision }])
  }

  /**
   * From now on only a broker of that cluster starts here.
   * @param handedOver what goes with it, for the cluster has it now
   */
  async joinCluster(metadata: string, handedOver: readonly Change[] = []): Promise<void> {
    if (this.cluster === metadata) return
    await this.store.transact([], [{ key: JOINED, value: metadata }, ...handedOver])
  }

  /** Of brokers on this folder so far. */
  get starts(): number {
    return (this.store.peek(this.#epochKey) as number | null) ?? 0
  }

  get #epochKey(): string {
    return brokerKey(this.#nodeId, 'epoch')
  }

  get #startKey(): string {
    return brokerKey(this.#nodeId, 'start')
  }

  get #journalsKey(): string {
    return brokerKey(this.#nodeId, 'journals')
  }

  /** Out of meta.properties and its copy in the metadata, each of which makes up for the other. */
  #identify(meta: Map<string, string> | null, clusterId: string | null, notes: string[]): Identity {
    const copy = this.store.peek(IDENTITY) as unknown as Identity | null
    const [cluster, node] = [meta?.get('cluster.id'), meta?.get('node.id')]
    if (cluster !== undefined && node !== undefined) {
      if (copy !== null && copy.clusterId !== cluster) {
        throw new DataDirError(
          `In the data folder ${this.path}, ${META} says cluster ${cluster}, but the metadata is of cluster ${copy.clusterId}: one of them was put there from elsewhere. Put back the right one.`,
        )
      }
      const directoryId = copy?.directoryId ?? meta?.get('directory.id') ?? randomUuid()
      return { clusterId: cluster, nodeId: this.#nodeId, directoryId }
    }
    if (copy !== null) {
      checkIdentity(this.path, copy.clusterId, copy.nodeId, this.#nodeId, clusterId)
      notes.push(`${META} was missing or not whole: it is written anew from the metadata`)
    } else if (this.store.revision > 0) {
      throw new DataDirError(
        `The data folder ${this.path} holds data, but no whole ${META}, and its metadata is too old to make up for it: restore it from a copy, or write it anew: the lines version=1, cluster.id=${clusterId ?? '<the id of the cluster>'}, node.id=${this.#nodeId}.`,
      )
    }
    const directoryId = randomUuid()
    const made = copy ?? { clusterId: clusterId ?? randomUuid(), nodeId: this.#nodeId, directoryId }
    writeMeta(this.#files, this.path, made)
    this.#hold()
    return made
  }

  /** Also by its identity: `.lock` is what people remove when a start says that the folder is in use. */
  #hold(): void {
    try {
      this.#lock.hold(join(this.path, META))
    } catch (error) {
      throw refusal(this.path, error)
    }
  }

  /** Journals that an earlier start had: records may be in them and nowhere else. */
  #checkJournals(): void {
    const missing = missingJournals(this.#files, this.path, this.#journals)
    if (missing.length === 0) return
    throw new DataDirError(
      `The data folder ${this.path} lacks ${someOf(missing)}, which may hold acknowledged records and deletions that are nowhere else: restore it from a copy. To go on without what it held, make empty files in its place.`,
    )
  }

  get #journals(): number {
    return (this.store.peek(this.#journalsKey) as number | null) ?? 0
  }

  #removeMarker(notes: string[]): void {
    if (!this.wasClean) {
      notes.push(
        'the mark of a clean stop is not that of the last start, and proves nothing: all is verified',
      )
    }
    this.#files.unlink(join(this.path, CLEAN))
    this.#files.fsyncDir(this.path)
  }

  /**
   * Counts the starts of this node on its data: leader epochs rise with it. Durable before anything is served.
   * @returns the broker's epoch
   */
  async begin(): Promise<number> {
    const key = this.#epochKey
    const entry = await this.store.get(key)
    const brokerEpoch = this.starts + 1
    const start: Start = { brokerEpoch, id: randomUuid() }
    const identity = this.#identity
    const { outcome } = await this.store.transact(
      [{ key, revision: entry?.revision ?? 0 }],
      [
        { key, value: brokerEpoch },
        { key: this.#startKey, value: { ...start } },
        { key: IDENTITY, value: { ...identity } },
      ],
    )
    if (outcome === 'refused') {
      throw new Error(`another broker started as node ${this.#nodeId} at the same time`)
    }
    this.#start = start
    return brokerEpoch
  }

  /**
   * From now on this many journals must be there at a start: before the workers give up more than so many, and again when
   * all of them have theirs.
   */
  async expectJournals(count: number): Promise<void> {
    if (count === this.#journals) return
    await this.store.transact([], [{ key: this.#journalsKey, value: count }])
  }

  /** Journals that must be there, at most so many: see expectJournals. */
  expectNoMoreThan(count: number): Promise<void> {
    return this.expectJournals(Math.min(this.#journals, count))
  }

  /** Everything is flushed and closed, or as it was found when that was clean: the next start need not verify. */
  markClean(): void {
    assert(this.#start !== null, 'a start came before its clean stop')
    writeMarker(this.#files, this.path, this.#start)
  }

  /** Why the folder may have a second owner all the same; null where the kernel rules that out. */
  get lockDoubt(): string | null {
    return this.#lock.doubt
  }

  /** Idempotent. The caller has ended whatever writes to the folder. */
  unlock(): void {
    this.#lock.release()
  }
}

function refuseHeadless(dir: string, data: readonly string[]): void {
  if (data.length === 0) return
  throw new DataDirError(
    `The data folder ${dir} holds data (${someOf(data)}), but both copies of its metadata (metadata.log, metadata.2.log) are missing, so that nothing says which topics these are: restore one of them from a copy, or use another log.dirs.`,
  )
}

/** Before the first change of the metadata a start may have made its journals, but no partition. */
function refuseEmpty(files: FileSystem, dir: string): void {
  const partitions = dataIn(files, dir).filter(name => name !== JOURNALS)
  if (partitions.length === 0) return
  throw new DataDirError(
    `The data folder ${dir} holds data (${someOf(partitions)}), but its metadata is empty: restore metadata.log or metadata.2.log from a copy, or use another log.dirs.`,
  )
}

/** Its partitions would be put aside as strays when topics of their names are made, and Kafka would not find them any more. */
function checkNotKafkas(files: FileSystem, dir: string): void {
  if (!files.exists(join(dir, KAFKAS))) return
  throw new DataDirError(
    `The data folder ${dir} holds the data of an Apache Kafka broker (${KAFKAS}), which is not read here: use another log.dirs.`,
  )
}

/** @returns its real path */
function makeFolder(path: string): string {
  const refuse = (why: string) => new DataDirError(`The data folder ${path} cannot be made: ${why}`)
  try {
    makeMissing(path)
    const real = fs.realpathSync(path)
    if (fs.statSync(real).isDirectory()) return real
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // Node's words for it, that there is no such folder, say why it is to be made, not why it cannot be.
    throw refuse(code === 'ENOENT' ? 'the file system there takes no folders (ENOENT)' : message)
  }
  throw refuse('it is a file')
}

/** One after the other: where a file system says ENOENT to a new folder, as /proc does, Node's own recursion does not end. */
function makeMissing(path: string): void {
  const missing: string[] = []
  for (let dir = resolve(path); !fs.existsSync(dir); dir = dirname(dir)) missing.push(dir)
  for (const dir of missing.reverse()) {
    try {
      fs.mkdirSync(dir)
    } catch (error) {
      // Another broker was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

const HELD_BY_CALLER: FolderLock = { doubt: null, hold: () => {}, release: () => {} }

/** Takes the folder for this broker, or says who has it. */
function lock(dir: string): FolderLock {
  try {
    return lockFolder(dir)
  } catch (error) {
    throw refusal(dir, error)
  }
}

function refusal(dir: string, error: unknown): DataDirError {
  const why =
    error instanceof FolderTaken
      ? `is in use by ${error.holder}: stop it first, or use another log.dirs.`
      : `cannot be written: ${(error as Error).message}`
  return new DataDirError(`The data folder ${dir} ${why}`)
}
