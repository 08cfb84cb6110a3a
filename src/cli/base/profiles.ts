import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { CliError, usage } from './failure.ts'

/** What stands for options that are not given, as they are written on a command line. */
export interface Profile {
  readonly bootstrap: string
  readonly timeout?: string
}

export interface Profiles {
  /** The one that counts when none is named; null if none is in use. */
  readonly current: string | null
  readonly profiles: Readonly<Record<string, Profile>>
}

/** Where the profiles of this user are. */
export function profilesFile(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'odradek', 'profiles.json')
}

/** @throws CliError for a file that is none */
export function readProfiles(): Profiles {
  const file = profilesFile()
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<Profiles>
    const { current = null, profiles = {} } = found
    for (const [name, { bootstrap }] of Object.entries(profiles)) {
      if (typeof bootstrap !== 'string') throw new Error(`profile ${name} has no bootstrap`)
    }
    return { current, profiles }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return { current: null, profiles: {} }
    throw new CliError(`${file} cannot be read: ${message}`, undefined, { cause })
  }
}

/** All at once, or as it was. */
export function writeProfiles(profiles: Profiles): void {
  const file = profilesFile()
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, `${JSON.stringify(profiles, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** @throws CliError if there is none of that name */
export function profileNamed({ profiles }: Profiles, name: string): Profile {
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined
  if (found !== undefined) return found
  const names = Object.keys(profiles).join(', ')
  throw usage(
    `there is no profile ${name}: ${names === '' ? 'there are none' : `there is ${names}`}`,
  )
}
