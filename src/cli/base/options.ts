import { type Command, InvalidArgumentError, Option } from 'commander'
import { EXIT_HELP, usage } from './failure.ts'
import { profileNamed, profilesFile, readProfiles } from './profiles.ts'
import { parseDuration } from './time.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** What every command that talks to a cluster takes. */
export interface ClusterFlags {
  readonly bootstrap: readonly Address[]
  /** ms that connecting, and each request, may take. */
  readonly timeout: number
  readonly json?: boolean
}

/** Of batches, by their numbers in them. */
export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const PORT_DEFAULT = 9092
const BOOTSTRAP_DEFAULT = '127.0.0.1:9092'
const TIMEOUT_MS_DEFAULT = 10_000
/** Kafka's delivery.timeout.ms. */
const WAIT_MS_DEFAULT = 120_000

/** HOST:PORT, [IPV6]:PORT or HOST, and several of them with commas between. */
export function parseBootstrap(text: string): Address[] {
  return text.split(',').map(part => {
    const match = /^\s*(?:\[([^\]]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?\s*$/.exec(part)
    const port = Number(match?.[3] ?? PORT_DEFAULT)
    if (match === null || port < 1 || port > 65_535) {
      throw new InvalidArgumentError('It must be HOST:PORT, or several with commas between.')
    }
    return { host: (match[1] ?? match[2])!, port }
  })
}

/** A whole number of at least `min`. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return text => {
    const value = Number(text)
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value
    const bound = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`It must be a whole number, ${bound}.`)
  }
}

/** More than any topic has. */
const PARTITIONS_MAX = 1_000_000
const NUMBERS = /^\d{1,7}(-\d{1,7})?$/

/** 0,2,5-7 and the like. */
export function parsePartitions(text: string): number[] {
  const found = new Set<number>()
  for (const part of text.split(',')) {
    const [first, last = first] = part.split('-').map(Number)
    const isGood = NUMBERS.test(part) && first! <= last! && last! < PARTITIONS_MAX
    if (!isGood) throw new InvalidArgumentError('It must be numbers such as 0 or 0,2,5-7.')
    for (let i = first!; i <= last!; i++) found.add(i)
  }
  return [...found]
}

const RATE = /^(\d+(?:\.\d+)?)([kMG]?)B?$/
const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 }

/** 500kB, 50MB, 1GB, ... as bytes. */
export function parseRate(text: string): number {
  const [, number, unit] = RATE.exec(text) ?? []
  const bytes = Math.round(Number(number) * (UNIT_BYTES[unit ?? ''] ?? Number.NaN))
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes
  throw new InvalidArgumentError('It must be bytes with kB, MB or GB, such as 50MB.')
}

/** Ids of brokers: 4 or 4,5. */
export function parseIds(text: string): number[] {
  const ids = text.split(',')
  if (ids.every(id => /^\d{1,9}$/.test(id))) return [...new Set(ids.map(Number))]
  throw new InvalidArgumentError('It must be ids of brokers such as 4 or 4,5.')
}

/** How long commands that go on over failures wait for the cluster. */
export function waitOption(): Option {
  return new Option(
    '--wait <time>',
    'how long to try again when a broker is away or a leader moves',
  )
    .argParser(parseDuration)
    .default(WAIT_MS_DEFAULT, '2m')
}

/** For options that may be given again. */
export const collect = (value: string, list: readonly string[] = []): string[] => [...list, value]

/** key=value texts as pairs; the value may hold more equals signs. */
export function parsePair(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must be name=value.')
  return [text.slice(0, at), text.slice(at + 1)]
}

export const collectPairs = (
  text: string,
  list: readonly [string, string][] = [],
): [string, string][] => [...list, parsePair(text)]

/** An option that may be given again; its value is a list. */
export function repeated<T>(
  flags: string,
  description: string,
  add: (text: string, list?: readonly T[]) => T[],
): Option {
  const option = new Option(flags, `${description}; may be given again`)
  return option.argParser(add).default([], 'none')
}

/** A new command that talks to a cluster. */
export function clusterCommand(parent: Command, usage: string, description: string): Command {
  return withCluster(parent.command(usage).description(description))
}

/**
 * The options that all commands have which talk to a cluster.
 * @param talks whether the command does, as it was called
 */
export function withCluster(command: Command, talks: () => boolean = () => true): Command {
  return command
    .showHelpAfterError('Add --help for what is allowed.')
    .addOption(
      new Option('-b, --bootstrap <host:port>', 'a broker of the cluster, or several with commas')
        .env('ODRADEK_BOOTSTRAP')
        .argParser(parseBootstrap)
        .default(parseBootstrap(BOOTSTRAP_DEFAULT), BOOTSTRAP_DEFAULT),
    )
    .addOption(
      new Option('--timeout <time>', 'how long connecting, and each request, may take')
        .argParser(parseDuration)
        .default(TIMEOUT_MS_DEFAULT, '10s'),
    )
    .addOption(
      new Option('--profile <name>', 'of odradek profile: in place of -b and --timeout').env(
        'ODRADEK_PROFILE',
      ),
    )
    .hook('preAction', (_, action) => {
      if (talks()) applyProfile(action)
    })
}

/** What the profile says that is named, or is in use, stands for what is not said on the command line. */
export function applyProfile(command: Command): void {
  const named = command.getOptionValue('profile') as string | undefined
  if (named === undefined && command.getOptionValueSource('bootstrap') === 'env') return
  const all = readProfiles()
  const name = named || all.current
  if (name === null) return
  const { bootstrap, timeout } = profileNamed(all, name)
  const set = (key: string, value: unknown): void => {
    if (command.getOptionValueSource(key) === 'cli') return
    command.setOptionValueWithSource(key, value, 'config')
  }
  try {
    set('bootstrap', parseBootstrap(bootstrap))
    if (timeout !== undefined) set('timeout', parseDuration(timeout))
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw usage(`profile ${name} in ${profilesFile()}: ${error.message}`)
  }
}

export function examples(command: Command, ...lines: readonly string[]): Command {
  const text = lines.map(line => `  $ ${line}`).join('\n')
  return command.addHelpText('after', `\nExamples:\n${text}\n${EXIT_HELP}`)
}
