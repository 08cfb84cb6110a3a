import { type Examination, examine } from '../../doctor/examine.ts'
import type { Finding } from '../../doctor/finding.ts'
import { type FileSystem, realFileSystem } from '../../storage/fs.ts'
import { folderAt, takeFolder } from '../base/data-folder.ts'
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
  const lock = takeFolder(dir, repair)
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
