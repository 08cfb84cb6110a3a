import type { Logger } from 'pino'
import type { PrettyOptions } from 'pino-pretty'

/** Beside every message, and for programs only: a message says the same in words where it matters. */
const FOR_PROGRAMS = 'name,address,data,durability,version,ms,clusterId,reason'

/** On a terminal for people (time, level, words), else a JSON object a line. LOG_LEVEL says how much. */
export async function makeLogger(): Promise<Logger> {
  const { default: pino } = await import('pino')
  const asked = (process.env.LOG_LEVEL ?? 'info').toLowerCase()
  const known = asked === 'silent' || asked in pino.levels.values
  const options = {
    name: 'odradek',
    level: known ? asked : 'info',
    base: undefined,
    // Words: whatever collects logs knows them, pino's numbers only pino does.
    formatters: { level: (word: string) => ({ level: word }) },
  }
  const log = process.stdout.isTTY ? pino(options, await forPeople()) : pino(options)
  if (!known) {
    const allowed = [...Object.keys(pino.levels.values), 'silent'].join(', ')
    log.warn({}, `LOG_LEVEL=${asked} is unknown, info is used; ${allowed} are allowed`)
  }
  return log
}

async function forPeople() {
  const { default: pretty } = await import('pino-pretty')
  const options: PrettyOptions = {
    ignore: FOR_PROGRAMS,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    colorize: process.stdout.hasColors(),
    // In the order of what happens, also when the process ends right after.
    sync: true,
  }
  return pretty(options)
}
