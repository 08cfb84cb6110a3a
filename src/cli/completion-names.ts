import { Command, CommanderError } from 'commander'
import { ClientError } from '../client/client.ts'
import { Cluster } from './base/cluster.ts'
import { describeConfigs, RESOURCE, type ResourceKind } from './base/configs.ts'
import { CliError } from './base/failure.ts'
import { applyProfile, type ClusterFlags } from './base/options.ts'
import { readProfiles } from './base/profiles.ts'
import { commandFirst, groups } from './commands.ts'
import { listGroups } from './group/groups.ts'

/** Nobody waits longer for a completion. */
const TIMEOUT_MS = 2_000

type Kind = 'topics' | 'groups' | 'configs' | 'profiles' | 'kinds' | 'resources'

/** What arguments and options hold, by their names. */
const KINDS: Readonly<Record<string, Kind>> = {
  topic: 'topics',
  topics: 'topics',
  offsets: 'topics',
  group: 'groups',
  groups: 'groups',
  toGroup: 'groups',
  config: 'configs',
  unset: 'configs',
  keys: 'configs',
  'name=value': 'configs',
  profile: 'profiles',
  kind: 'kinds',
}

/** Of which the name is another word for what they work on. */
const BY_COMMAND: Readonly<Record<string, Kind>> = { config: 'resources', profile: 'profiles' }

/**
 * What the cluster, or the file of profiles, has for the last word of a command line that is being typed. Nothing, and no
 * complaint, if that is not known: an error in the middle of what somebody types helps nobody.
 */
export async function namesFor(line: string): Promise<string[]> {
  const words = line.trimStart().split(/\s+/)
  const last = words.at(-1)!
  try {
    const place = await placeOf(commandFirst(words.slice(1, -1)))
    const names = place === null ? [] : await namesOf(place)
    return names.filter(name => name.startsWith(last))
  } catch (error) {
    const isKnown = [CliError, ClientError, CommanderError].some(kind => error instanceof kind)
    if (!isKnown) throw error
    return []
  }
}

interface Place {
  readonly kind: Kind
  readonly command: Command
  /** The arguments that are there already. */
  readonly args: readonly string[]
}

/** The command that is typed, with its options as far as they are there. */
async function placeOf(words: readonly string[]): Promise<Place | null> {
  const [first, second = ''] = words
  const group = groups.find(({ name }) => name === first)
  if (group === undefined) return null
  const parent = new Command(group.name)
  ;(await group.load()).define(parent)
  const below = parent.commands.find(c => [c.name(), ...c.aliases()].includes(second))
  const command = (below ?? parent).exitOverride().configureOutput({ writeErr: () => {} })
  const typed = words.slice(below === undefined ? 1 : 2)
  const last = typed.at(-1) ?? ''
  const option = command.options.find(o => o.required && [o.short, o.long].includes(last))
  const { operands } = command.parseOptions(option === undefined ? typed : typed.slice(0, -1))
  takeEnvironment(command)
  const known = command.registeredArguments
  const next = known[operands.length] ?? (known.at(-1)?.variadic ? known.at(-1) : undefined)
  const name = option?.attributeName() ?? next?.name() ?? ''
  const kind = KINDS[name] ?? (/^names?$/.test(name) ? BY_COMMAND[group.name] : undefined)
  return kind === undefined ? null : { kind, command, args: operands }
}

/** As Commander does when it runs a command. */
function takeEnvironment(command: Command): void {
  for (const option of command.options) {
    const value = option.envVar === undefined ? undefined : process.env[option.envVar]
    const key = option.attributeName()
    if (value === undefined || command.getOptionValueSource(key) === 'cli') continue
    const parsed = option.parseArg?.(value, undefined) ?? value
    command.setOptionValueWithSource(key, parsed, 'env')
  }
}

async function namesOf({ kind, command, args }: Place): Promise<string[]> {
  if (kind === 'profiles') return Object.keys(readProfiles().profiles)
  if (kind === 'kinds') return Object.keys(RESOURCE)
  applyProfile(command)
  const flags = command.opts<ClusterFlags>()
  await using cluster = await Cluster.connect({ ...flags, timeout: TIMEOUT_MS })
  const isConfig = command.parent?.name() === 'config'
  const [of, name] = isConfig ? [args[0] as ResourceKind, args[1]] : ['topic' as const, args[0]]
  if (kind === 'configs') return await configNames(cluster, of, name)
  if (kind === 'groups' || (kind === 'resources' && of === 'group'))
    return await groupNames(cluster)
  if (kind === 'topics' || of === 'topic') return await cluster.topicNames()
  return (await cluster.metadata([])).brokers.map(broker => String(broker.nodeId))
}

/** A topic that is to be created has those of any other. */
async function configNames(
  cluster: Cluster,
  of: ResourceKind,
  name: string | undefined,
): Promise<string[]> {
  const topics = of === 'topic' ? await cluster.topicNames() : []
  const like = of !== 'topic' || topics.includes(name ?? '') ? name : topics[0]
  if (like === undefined) return []
  return (await describeConfigs(cluster, of, like)).map(config => config.name)
}

async function groupNames(cluster: Cluster): Promise<string[]> {
  const { brokers } = await cluster.metadata([])
  const all = brokers.map(async b => listGroups(cluster, await cluster.broker(b.nodeId)))
  return (await Promise.all(all)).flat().map(({ group }) => group)
}
