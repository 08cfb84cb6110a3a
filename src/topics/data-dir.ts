import * as fs from 'node:fs'
import { join } from 'node:path'
import { realFileSystem, replaceFile } from '../storage/fs.ts'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import { FolderTaken } from './lock-claims.ts'
import { randomUuid } from './uuid.ts'

const CLEAN = '.kafka_cleanshutdown'
const META = 'meta.properties'
/** Kafka's metadata log: no other broker has it. */
const KAFKAS = '__cluster_metadata-0'

/** The data folder cannot be used: one sentence that says why and what to do. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError'
}

/**
 * The data folder as a whole: one live broker at a time (folder-lock.ts), whose cluster it belongs to, and whether it was left clean.
 * File names are Kafka's.
 */
export class DataDir {
  readonly path: string
  readonly clusterId: string
  /** Whether the last stop flushed everything. The marker is gone from now on. */
  readonly wasClean: boolean
  /** Nothing was here before. */
  readonly isNew: boolean
  readonly #lock: FolderLock

  constructor(path: string, nodeId: number, clusterId: string | null) {
    try {
      fs.mkdirSync(path, { recursive: true })
    } catch (error) {
      throw new DataDirError(`The data folder ${path} cannot be made: ${(error as Error).message}`)
    }
    this.path = fs.realpathSync(path)
    checkNotKafkas(this.path)
    this.#lock = lock(this.path)
    try {
      const meta = readMeta(join(this.path, META))
      this.isNew = meta === null
      this.clusterId = checkMeta(this.path, meta, nodeId, clusterId)
      if (meta === null) this.#writeMeta(nodeId)
      const marker = join(this.path, CLEAN)
      this.wasClean = this.isNew || fs.existsSync(marker)
      if (fs.existsSync(marker)) {
        fs.unlinkSync(marker)
        realFileSystem.fsyncDir(this.path)
      }
    } catch (error) {
      this.unlock()
      throw error
    }
  }

  #writeMeta(nodeId: number): void {
    const directoryId = randomUuid()
    const lines = [
      'version=1',
      `cluster.id=${this.clusterId}`,
      `node.id=${nodeId}`,
      `directory.id=${directoryId}`,
      '',
    ]
    replaceFile(realFileSystem, join(this.path, META), Buffer.from(lines.join('\n')))
  }

  /** Everything is flushed and closed: the next start need not verify. */
  markClean(): void {
    replaceFile(realFileSystem, join(this.path, CLEAN), Buffer.from('{"version":0}\n'))
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

/** Its partitions would be put aside as strays when topics of their names are made, and Kafka would not find them any more. */
function checkNotKafkas(dir: string): void {
  if (!fs.existsSync(join(dir, KAFKAS))) return
  throw new DataDirError(
    `The data folder ${dir} holds the data of an Apache Kafka broker (${KAFKAS}), which is not read here: use another log.dirs.`,
  )
}

function readMeta(path: string): Map<string, string> | null {
  if (!fs.existsSync(path)) return null
  const entries = fs
    .readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line.includes('=') && !line.startsWith('#'))
    .map(
      line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).trim()] as const,
    )
  return new Map(entries)
}

function checkMeta(
  dir: string,
  meta: Map<string, string> | null,
  nodeId: number,
  clusterId: string | null,
): string {
  const foundCluster = meta?.get('cluster.id')
  const foundNode = meta?.get('node.id')
  if (foundCluster !== undefined && clusterId !== null && foundCluster !== clusterId) {
    throw new DataDirError(
      `The data folder ${dir} belongs to cluster ${foundCluster}, but this broker is of cluster ${clusterId}: use another log.dirs.`,
    )
  }
  if (foundNode !== undefined && Number(foundNode) !== nodeId) {
    throw new DataDirError(
      `The data folder ${dir} belongs to node ${foundNode}, but this broker has node.id ${nodeId}: use another log.dirs or that node.id.`,
    )
  }
  return foundCluster ?? clusterId ?? randomUuid()
}

/** Takes the folder for this broker, or says who has it. */
function lock(dir: string): FolderLock {
  try {
    return lockFolder(dir)
  } catch (error) {
    const why =
      error instanceof FolderTaken
        ? `is in use by ${error.holder}: stop it first, or use another log.dirs.`
        : `cannot be written: ${(error as Error).message}`
    throw new DataDirError(`The data folder ${dir} ${why}`)
  }
}
