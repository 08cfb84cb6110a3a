import * as fs from 'node:fs'
import { join } from 'node:path'
import { realFileSystem, replaceFile } from '../storage/fs.ts'
import { randomUuid } from './uuid.ts'

const LOCK = '.lock'
const CLEAN = '.kafka_cleanshutdown'
const META = 'meta.properties'
/** Kafka's metadata log: no other broker has it. */
const KAFKAS = '__cluster_metadata-0'

/** The data folder cannot be used: one sentence that says why and what to do. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError'
}

/** Folders that brokers of this process hold: the pid in the lock file cannot tell those apart. */
const heldHere = new Set<string>()

/**
 * The data folder as a whole: one live broker at a time, whose cluster it belongs to, and whether it was left clean.
 * File names are Kafka's.
 */
export class DataDir {
  readonly path: string
  readonly clusterId: string
  /** Whether the last stop flushed everything. The marker is gone from now on. */
  readonly wasClean: boolean
  /** Nothing was here before. */
  readonly isNew: boolean

  constructor(path: string, nodeId: number, clusterId: string | null) {
    try {
      fs.mkdirSync(path, { recursive: true })
    } catch (error) {
      throw new DataDirError(`The data folder ${path} cannot be made: ${(error as Error).message}`)
    }
    this.path = fs.realpathSync(path)
    lock(this.path)
    try {
      checkNotKafkas(this.path)
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

  unlock(): void {
    heldHere.delete(this.path)
    fs.rmSync(join(this.path, LOCK), { force: true })
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

/** Takes the folder for this process, or says who has it. A lock whose process is gone is taken over. */
function lock(dir: string): void {
  const path = join(dir, LOCK)
  const inUse = (by: string): DataDirError =>
    new DataDirError(
      `The data folder ${dir} is in use by ${by}: stop it first, or use another log.dirs.`,
    )
  if (heldHere.has(dir)) throw inUse('another broker in this process')
  try {
    for (;;) {
      try {
        const fd = fs.openSync(path, 'wx')
        fs.writeSync(fd, `${process.pid} ${startTimeOf(process.pid)}\n`)
        fs.closeSync(fd)
        heldHere.add(dir)
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const [pid, started] = fs.readFileSync(path, 'utf8').trim().split(' ')
      const alive = isAlive(Number(pid)) && startTimeOf(Number(pid)) === started
      if (alive && Number(pid) !== process.pid) throw inUse(`the process ${pid}`)
      // Moved aside before it is removed: of two starters that see the same dead lock only one can move it.
      const stale = `${path}.${process.pid}`
      fs.renameSync(path, stale)
      fs.rmSync(stale)
    }
  } catch (error) {
    if (error instanceof DataDirError) throw error
    throw new DataDirError(`The data folder ${dir} cannot be written: ${(error as Error).message}`)
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Ended, and its parent has not noticed yet. As long as it has other threads one of them may be amid a write. */
function isZombie(pid: number): boolean {
  return 'ZX'.includes(statOf(pid)[0] ?? '-') && fs.readdirSync(`/proc/${pid}/task`).length === 1
}

/** When a process started, so that a number used again is not taken for its earlier owner; '-' where /proc is missing. */
function startTimeOf(pid: number): string {
  return statOf(pid)[19] ?? '-'
}

/** What /proc says of a process behind its name, beginning with its state; nothing where /proc is missing. */
function statOf(pid: number): string[] {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}
