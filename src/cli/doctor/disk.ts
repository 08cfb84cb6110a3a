import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../client/client.ts'
import { errorName } from '../../protocol/error-codes.ts'
import {
  type DescribeLogDirsResponse,
  describeLogDirsApi,
} from '../../protocol/messages/35-describe-log-dirs.ts'
import { DISK_RESERVE_BYTES } from '../../storage/free-space.ts'
import type { Cluster } from '../base/cluster.ts'
import { type Finding, fail, ok, skip, warn } from '../cluster/health.ts'

/** Less than this share of a disk is worth a warning. */
const FREE_SHARE_MIN = 0.1
/** Every partition has some files open, every connection one. */
const OPEN_FILES_MIN = 10_000
/** More than this share of the open files in use is worth a warning. */
const OPEN_FILES_SHARE_MAX = 0.8

type LogDir = DescribeLogDirsResponse['results'][number]

export async function logDirsOf(cluster: Cluster, client: Client): Promise<LogDir[]> {
  // No topics: only what the folders themselves say.
  const { results } = await cluster.send(client, describeLogDirsApi, { topics: [] })
  return results
}

export function diskFinding(broker: number, dir: LogDir): Finding {
  const check = `disk of broker ${broker}`
  const { errorCode, logDir, totalBytes, usableBytes } = dir
  if (errorCode !== 0) {
    const advice = 'see the log of the broker, repair the disk, and start the broker again'
    return fail(check, `${logDir} is offline (${errorName(errorCode)})`, advice)
  }
  if (usableBytes < 0 || totalBytes <= 0) return skip(check, `${logDir}: the broker does not say`)
  const share = usableBytes / totalBytes
  const found = `${logDir}: ${gib(usableBytes)} of ${gib(totalBytes)} free (${Math.floor(share * 100)}%)`
  const advice = 'free some, or let topics keep less: retention.ms, retention.bytes, topic delete'
  if (usableBytes < DISK_RESERVE_BYTES) return fail(check, `${found}: writing stops`, advice)
  return share < FREE_SHARE_MIN ? warn(check, found, advice) : ok(check, found)
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** The limits of the system for a broker of this machine, whose pid its data folder tells. */
export function limitFinding(broker: number, dir: LogDir, isLocal: boolean): Finding {
  const check = `open files of broker ${broker}`
  if (!isLocal) return skip(check, 'it runs on another machine: run odradek doctor there')
  const pid = pidOf(dir.logDir)
  if (pid === null) return skip(check, `${dir.logDir} does not tell the process`)
  const text = readFileSync(`/proc/${pid}/limits`, 'utf8')
  const limit = Number(/^Max open files +(\d+)/m.exec(text)?.[1] ?? Number.POSITIVE_INFINITY)
  const used = readdirSync(`/proc/${pid}/fd`).length
  const found = `${used} of ${Number.isFinite(limit) ? limit : 'any number'} (pid ${pid})`
  const advice = `allow ${OPEN_FILES_MIN} or more: ulimit -n before the start, or LimitNOFILE= in its systemd unit`
  if (used > limit * OPEN_FILES_SHARE_MAX) return fail(check, found, advice)
  return limit < OPEN_FILES_MIN ? warn(check, found, advice) : ok(check, found)
}

/** The process that holds a data folder, if this user may look at it; only on Linux. */
function pidOf(dir: string): number | null {
  const lock = join(dir, '.lock')
  if (!existsSync(lock)) return null
  const pid = Number(readFileSync(lock, 'utf8').split(' ')[0])
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  try {
    readdirSync(`/proc/${pid}/fd`)
    return pid
  } catch {
    return null
  }
}
