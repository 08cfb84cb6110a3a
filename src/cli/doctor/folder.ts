import * as fs from 'node:fs'
import { join } from 'node:path'
import { type Examination, examine, isDataFolder } from '../../doctor/examine.ts'
import type { Finding } from '../../doctor/finding.ts'
import { type FileSystem, realFileSystem } from '../../storage/fs.ts'
import { type FolderLock, heldFile, LOCK_WAYS, lockFolder } from '../../topics/folder-lock.ts'
import { META } from '../../topics/inventory.ts'
import { FolderTaken } from '../../topics/lock-claims.ts'
import { CliError } from '../base/failure.ts'
import { paint, plural, print } from '../base/output.ts'
import { type Done, showProgress } from '../base/progress.ts'
import { checkRepairFlags, repairFolder } from './repair.ts'

export interface FolderFlags {
  readonly data?: string
  readonly repair?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/** Looks at a data folder that no broker has, says what is wrong, and mends it if that is asked for. */
export async function examineFolder(path: string, flags: FolderFlags): Promise<void> {
  const { json, repair = false } = flags
  const dir = folderAt(path)
  if (repair) checkRepairFlags(dir, flags)
  const lock = take(dir, repair)
  try {
    const started = performance.now()
    const examination = await examineAloud(realFileSystem, dir)
    const ms = Math.round(performance.now() - started)
    const { faults } = examination.findings
    if (repair && faults.length > 0) {
      const report = reportOf(dir, examination, ms)
      await repairFolder(dir, examination, flags, report, () => textOf(dir, examination, ms, true))
      return
    }
    print(json, reportOf(dir, examination, ms), () => textOf(dir, examination, ms, false))
    if (faults.length > 0) {
      throw new CliError(
        `${plural(faults.length, 'problem')} found; --repair says what can be done`,
      )
    }
  } finally {
    lock?.release()
  }
}

function folderAt(path: string): string {
  let dir: string
  try {
    dir = fs.realpathSync(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new CliError(`there is no folder ${path}${code === 'ENOENT' ? '' : `: ${message}`}`)
  }
  if (!isDataFolder(realFileSystem, dir)) {
    throw new CliError(`${dir} is not a data folder: nothing in it is of a broker`)
  }
  return dir
}

/** Nobody else may have it meanwhile. @returns null if there is nothing to lock: no broker has started on it */
function take(dir: string, isRepair: boolean): FolderLock | null {
  try {
    if (!isRepair && heldFile(dir) === null) return null
    const lock = lockFolder(dir, LOCK_WAYS, !isRepair)
    // Whoever has removed `.lock` and started another broker is found by this.
    if (fs.existsSync(join(dir, META))) lock.hold(join(dir, META))
    return lock
  } catch (error) {
    if (error instanceof FolderTaken) {
      throw new CliError(`the data folder ${dir} is in use by ${error.holder}: stop it first`)
    }
    // Nobody writes to what cannot be written, and what is looked at is left as it is.
    if (!isRepair && (error as NodeJS.ErrnoException).code === 'EROFS') return null
    throw new CliError(`the data folder ${dir} cannot be locked: ${(error as Error).message}`)
  }
}

async function examineAloud(files: FileSystem, dir: string): Promise<Examination> {
  let done: Done = { records: 0, bytes: 0, share: 0 }
  using _ = showProgress(() => done)
  return await examine(files, dir, ({ records, bytes }, share) => {
    done = { records, bytes, share }
  })
}

export type Report = ReturnType<typeof reportOf>

function reportOf(dir: string, examination: Examination, ms: number) {
  const { topics, partitions, records, bytes, findings } = examination
  return { data: dir, topics, partitions, records, bytes, ms, findings: findings.all }
}

function textOf(dir: string, examination: Examination, ms: number, isRepair: boolean): string {
  const { topics, partitions, records, bytes, findings } = examination
  const { all, faults } = findings
  const read = `${plural(topics, 'topic')}, ${plural(partitions, 'partition')}: ${plural(records, 'record')} in ${(bytes / 1e6).toFixed(1)} MB read in ${ms} ms`
  const lost = faults.filter(({ verdict }) => verdict === 'lost').length
  const verdict =
    faults.length === 0
      ? paint('green', 'well')
      : paint('red', `${plural(faults.length, 'problem')}, ${lost} of them with a loss`)
  return [...all.map(one => findingLine(one, isRepair)), `${dir}: ${read}; ${verdict}`].join('\n')
}

const COLOURS = { lost: 'red', damaged: 'yellow', note: 'bold' } as const

/** One line a finding, and below it what a repair does about it. */
export function findingLine(
  { verdict, about, file, position, problem, lost, repair }: Finding,
  isRepair: boolean,
): string {
  const place = position === null ? file : `${file} at byte ${position}`
  const where = place === '' ? about : place
  const offsets =
    lost === null ? '' : `; ${lost.from === lost.to ? 'offset' : 'offsets'} ${rangeText(lost)}`
  const line = `${paint(COLOURS[verdict], verdict.padEnd(7))}  ${where}: ${problem}${offsets}`
  return isRepair && repair !== null ? `${line}\n         -> ${repair}` : line
}

const rangeText = ({ from, to }: { from: number; to: number }): string =>
  from === to ? String(from) : `${from} to ${to}`
