import type { Command } from 'commander'
import { usage } from '../base/failure.ts'
import { examples, parseBootstrap } from '../base/options.ts'
import { print, table } from '../base/output.ts'
import {
  type Profile,
  profileNamed,
  profilesFile,
  readProfiles,
  writeProfiles,
} from '../base/profiles.ts'
import { parseDuration } from '../base/time.ts'

const NAME = /^[\w.-]{1,100}$/

export function define(profile: Command): void {
  const set = local(profile, 'set <name>', 'make a profile, or change it')
    .option(
      '-b, --bootstrap <host:port>',
      'a broker of the cluster, or several with commas',
      asWritten(parseBootstrap),
    )
    .option(
      '--timeout <time>',
      'how long connecting, and each request, may take',
      asWritten(parseDuration),
    )
    .action(setProfile)
  examples(set, 'odradek profile set prod -b kafka-1:9092,kafka-2:9092 --timeout 30s')
  const use = local(
    profile,
    'use [name]',
    'what commands take from now on; without a name, none',
  ).action(useProfile)
  examples(use, 'odradek profile use prod', 'odradek profile use')
  const list = local(profile, 'list', 'list profiles; the one in use has a star')
    .alias('ls')
    .option('--json', 'print JSON')
    .action(listProfiles)
  examples(list, 'odradek profile list')
  const remove = local(profile, 'delete <names...>', 'delete profiles').alias('rm')
  examples(remove.action(deleteProfiles), 'odradek profile delete prod')
  profile.addHelpText(
    'after',
    `
A profile says where a cluster is, in place of -b and --timeout. What counts, the first of these:
  -b; --profile or ODRADEK_PROFILE; ODRADEK_BOOTSTRAP; the profile in use; 127.0.0.1:9092.
They are kept in ${profilesFile()}`,
  )
}

function local(profile: Command, words: string, description: string): Command {
  const command = profile.command(words).description(description)
  return command.showHelpAfterError('Add --help for what is allowed.')
}

/** Checked as where it is used, and kept as it was given. */
const asWritten =
  (check: (text: string) => unknown) =>
  (text: string): string => {
    check(text)
    return text
  }

function setProfile(name: string, flags: Partial<Profile>): void {
  if (!NAME.test(name)) throw usage('profile set: a name has letters, digits, and . _ - only')
  const all = readProfiles()
  const old = Object.hasOwn(all.profiles, name) ? all.profiles[name] : undefined
  const { bootstrap, ...rest } = { ...old, ...flags }
  if (bootstrap === undefined) throw usage('profile set: where is the cluster? give -b')
  const profiles = { ...all.profiles, [name]: { bootstrap, ...rest } }
  // Whoever makes a first one means to use it.
  const current = Object.keys(all.profiles).length === 0 ? name : all.current
  writeProfiles({ current, profiles })
  process.stdout.write(
    `profile ${name} is set${current === name ? ' and in use' : `; ${current === null ? 'none' : current} is in use`}\n`,
  )
}

function useProfile(name?: string): void {
  const all = readProfiles()
  if (name !== undefined) profileNamed(all, name)
  writeProfiles({ ...all, current: name ?? null })
  process.stdout.write(`${name === undefined ? 'no profile' : `profile ${name}`} is in use\n`)
}

function listProfiles(flags: { json?: boolean }): void {
  const { current, profiles } = readProfiles()
  const found = Object.entries(profiles).map(([name, { bootstrap, timeout = null }]) => {
    return { name, bootstrap, timeout, current: name === current }
  })
  const rows = found.map(p => [p.current ? '*' : '', p.name, p.bootstrap, p.timeout])
  print(flags.json, found, () => table(['', 'PROFILE', 'BOOTSTRAP', 'TIMEOUT'], rows))
}

function deleteProfiles(names: readonly string[]): void {
  const all = readProfiles()
  for (const name of names) profileNamed(all, name)
  const left = Object.entries(all.profiles).filter(([name]) => !names.includes(name))
  const current = all.current !== null && names.includes(all.current) ? null : all.current
  writeProfiles({ current, profiles: Object.fromEntries(left) })
  process.stdout.write(`${names.map(name => `${name} deleted`).join('\n')}\n`)
}
