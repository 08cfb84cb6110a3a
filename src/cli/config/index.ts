import { type Command, InvalidArgumentError } from 'commander'
import { Cluster } from '../base/cluster.ts'
import {
  alterConfigs,
  type ConfigEntry,
  describeConfigs,
  isDefault,
  RESOURCE,
  type ResourceKind,
  sourceOf,
} from '../base/configs.ts'
import { CliError, usage } from '../base/failure.ts'
import {
  type ClusterFlags,
  clusterCommand,
  collect,
  examples,
  parsePair,
  repeated,
} from '../base/options.ts'
import { print, table } from '../base/output.ts'

const KINDS = Object.keys(RESOURCE) as ResourceKind[]
const WHAT = 'topic, broker or group'
const WHICH = 'its name, or the id of a broker; "" for what all brokers have'
const ID_MAX = 2 ** 31 - 1

export function define(config: Command): void {
  const get = clusterCommand(
    config,
    'get',
    'print configs that differ from their defaults, or those named',
  )
    .argument('<kind>', WHAT, parseKind)
    .argument('<name>', WHICH)
    .argument('[keys...]', 'names of configs')
    .option('--all', 'also those with their defaults')
    .option('--json', 'print JSON')
    .action(getConfigs)
  examples(
    get,
    'odradek config get topic orders',
    'odradek config get topic orders retention.ms',
    'odradek config get broker 1 --all --json',
  )
  const set = clusterCommand(config, 'set', 'set configs, or take them back')
    .argument('<kind>', WHAT, parseKind)
    .argument('<name>', WHICH)
    .argument('[name=value...]', 'configs to set')
    .addOption(repeated('--unset <name>', 'back to the default', collect))
    .option('--json', 'print JSON')
    .action(setConfigs)
  examples(
    set,
    'odradek config set topic orders retention.ms=86400000 cleanup.policy=compact,delete',
    'odradek config set broker 1 --unset log.retention.ms',
  )
}

function parseKind(text: string): ResourceKind {
  if ((KINDS as string[]).includes(text)) return text as ResourceKind
  throw new InvalidArgumentError(`It must be ${WHAT}.`)
}

function checkName(kind: ResourceKind, name: string): void {
  if (kind === 'broker' && name !== '' && !(/^\d+$/.test(name) && Number(name) <= ID_MAX)) {
    throw usage(`config: ${name} is no broker: give its id, which odradek cluster info shows`)
  }
  if (kind !== 'broker' && name === '') throw usage(`config: which ${kind}? give its name`)
}

async function getConfigs(
  kind: ResourceKind,
  name: string,
  keys: string[],
  flags: ClusterFlags & { all?: boolean },
): Promise<void> {
  checkName(kind, name)
  await using cluster = await Cluster.connect(flags)
  const found = await describeConfigs(cluster, kind, name, keys.length === 0 ? null : keys)
  const unknown = keys.find(key => !found.some(entry => entry.name === key))
  if (unknown !== undefined) throw new CliError(`${kind} ${name} has no config ${unknown}`)
  const shown = found.filter(entry => flags.all || keys.length > 0 || !isDefault(entry))
  const list = shown.map(entry => ({
    name: entry.name,
    value: entry.value,
    source: sourceOf(entry),
    readOnly: entry.readOnly,
    sensitive: entry.isSensitive,
  }))
  print(flags.json, list, () => text(shown))
}

function text(entries: readonly ConfigEntry[]): string {
  if (entries.length === 0) return 'All have their defaults: --all shows them.'
  // Kafka never tells what a sensitive config is.
  const value = (e: ConfigEntry): string | null => (e.isSensitive ? '(hidden)' : e.value)
  const rows = entries.map(e => [e.name, value(e), sourceOf(e), e.readOnly ? 'yes' : 'no'])
  return table(['CONFIG', 'VALUE', 'FROM', 'READ-ONLY'], rows)
}

async function setConfigs(
  kind: ResourceKind,
  name: string,
  pairs: string[],
  flags: ClusterFlags & { unset: string[] },
): Promise<void> {
  checkName(kind, name)
  if (pairs.length + flags.unset.length === 0) {
    throw usage('config set: nothing to do; give name=value or --unset')
  }
  const set = pairs.map(text => {
    if (text.indexOf('=') < 1) throw usage(`config set: ${text} must be name=value`)
    return parsePair(text)
  })
  await using cluster = await Cluster.connect(flags)
  await alterConfigs(cluster, kind, name, { set, unset: flags.unset })
  const done = { kind, name, set: Object.fromEntries(set), unset: flags.unset }
  const parts = [...set.map(([k, v]) => `${k}=${v}`), ...flags.unset.map(key => `${key} unset`)]
  print(flags.json, done, () => `${kind} ${name}: ${parts.join(', ')}`)
}
