import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { carryOut, keepName } from '../../doctor/carry-out.ts'
import type { Examination } from '../../doctor/examine.ts'
import { type Plan, planRepair } from '../../doctor/repair.ts'
import { realFileSystem } from '../../storage/fs.ts'
import { heldFile } from '../../topics/folder-lock.ts'
import { CliError, usage } from '../base/failure.ts'
import { plural, print } from '../base/output.ts'
import { type FolderFlags, findingLine, type Report } from './folder.ts'

/** What has to be typed. */
const CONFIRMATION = 'repair'

/** Before anything is read. */
export function checkRepairFlags(dir: string, { json, yes }: FolderFlags): void {
  if (!yes && (json || !process.stdin.isTTY)) {
    throw usage('--repair asks before it writes: on a terminal, and without --json; or add --yes')
  }
  // What is written belongs to whoever runs this, and the broker must be able to write on.
  const owner = statSync(heldFile(dir) ?? dir).uid
  const user = process.getuid?.() ?? owner
  if (user !== owner) {
    throw new CliError(
      `${dir} is of the user ${owner}, this is ${user}: run it as the broker's user`,
    )
  }
}

/** Says what would be done, asks, and does it. `text` says what is wrong. */
export async function repairFolder(
  dir: string,
  examination: Examination,
  { json, yes }: FolderFlags,
  report: Report,
  text: () => string,
): Promise<void> {
  const plan = await planRepair(realFileSystem, dir, examination)
  const { changes, left } = plan
  const keep = keepName(new Date())
  if (!json) process.stdout.write(`${text()}\n${planText(plan, join(dir, keep))}\n`)
  const isWanted = changes.length > 0 && (yes || (await isConfirmed()))
  if (isWanted) carryOut(realFileSystem, dir, plan, keep)
  const failed = Object.fromEntries(plan.failed)
  const repaired = { ...report, changes, left, failed, kept: isWanted ? join(dir, keep) : null }
  print(json, repaired, () => outcomeText(plan, isWanted))
  if (!isWanted && changes.length > 0) throw new CliError('nothing was changed')
  if (left.length > 0) throw new CliError(`${plural(left.length, 'problem')} left`)
}

function planText({ findings, changes, left, failed }: Plan, keep: string): string {
  if (changes.length === 0) return 'There is nothing that a repair can do.'
  const lost = findings.filter(({ verdict }) => verdict === 'lost').length
  return [
    '',
    `A repair changes these ${plural(changes.length, 'file')}, and keeps copies of them as they are in ${keep}:`,
    ...changes.map(({ file, kind }) => `  ${kind.padEnd(7)}  ${file}`),
    ...[...failed].map(([what, why]) => `What could not be mended: ${what}: ${why}`),
    ...(left.length === 0
      ? ['It was tried in memory: afterwards the broker starts, and everything else can be read.']
      : ['It was tried in memory. What it leaves:', ...left.map(one => findingLine(one, true))]),
    lost === 0
      ? 'No record is lost by what is wrong.'
      : 'What is said to be lost above stays lost: restore the files from a copy instead if you have one.',
  ].join('\n')
}

async function isConfirmed(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    // An end of the input is an answer as well.
    const ended = once(terminal, 'close').then(() => '')
    const answer = terminal.question(`Type ${CONFIRMATION} to go on: `)
    return (await Promise.race([answer, ended])).trim() === CONFIRMATION
  } catch (error) {
    // Ctrl-C or Ctrl-D.
    if ((error as Error).name === 'AbortError') return false
    throw error
  } finally {
    terminal.close()
  }
}

function outcomeText({ changes, left }: Plan, isDone: boolean): string {
  if (!isDone) return 'Nothing was changed.'
  const rest = left.length === 0 ? 'the folder is well' : `${plural(left.length, 'problem')} left`
  return `${plural(changes.length, 'file')} changed; ${rest}. Start the broker.`
}
