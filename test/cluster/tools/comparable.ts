import { outcome } from '../../live/groups/transcript.ts'

/** What of the output of a tool that looks at a cluster can be compared with that of another cluster. */
export function comparable(command: string, lines: readonly string[]): readonly string[] {
  const [tool] = command.split(' ')
  const own = OF_TOOLS[tool!]
  const outcomes = lines.map(outcome)
  return own === undefined ? outcomes : own(outcomes)
}

type Ends = (lines: readonly string[]) => readonly string[]

/** Who is the leader of the metadata is by chance: ids go, roles stay. */
const quorum: Ends = lines => {
  const told = lines.map(line =>
    line
      .replace(/(?<=^(ClusterId|LeaderId|LeaderEpoch|HighWatermark|MaxFollowerLag\w*): ).*/, 'N')
      .replace(/"id": \d+/g, '"id": N')
      .replace(/"directoryId": (null|"[^"]*")/g, '"directoryId": DIR')
      .replace(/:\/\/127\.0\.0\.1:\d+/g, '://HOST')
      .replace(/^\d+\s+\S+\s+(-?\d+\s+)+(?=[A-Z])/, 'N DIR N N N N '),
  )
  return sortedFrom(told, /^N DIR/)
}

/** Lines that follow the first one like this, in an order that does not matter. */
function sortedFrom(lines: readonly string[], first: RegExp): readonly string[] {
  const at = lines.findIndex(line => first.test(line))
  return at === -1 ? lines : [...lines.slice(0, at), ...lines.slice(at).sort()]
}

/** Topics and configs are printed as hash maps have them; the order of an ISR says when each of them joined. */
const topics: Ends = lines => {
  const told = lines.map(line =>
    line
      .replace(/(?<=Configs: ).*/, configs =>
        configs
          .split(/,(?=[a-z.]+=)/)
          .sort()
          .join(),
      )
      .replace(/(?<=Isr: )[\d,]*/, ids => ids.split(',').sort().join()),
  )
  return sortedFrom(told, /^Topic: \S+\tPartition: /)
}

interface LogDirs {
  readonly brokers: readonly {
    readonly broker: number
    readonly logDirs: readonly {
      readonly partitions: readonly { readonly partition: string }[]
      readonly error: string | null
    }[]
  }[]
}

/** One line of JSON has all of them, in the order of hash maps: one line for each. */
const logDirs: Ends = lines =>
  lines.flatMap(line => {
    if (!line.startsWith('{')) return [line]
    const { brokers } = JSON.parse(line) as LogDirs
    return brokers
      .flatMap(({ broker, logDirs }) =>
        logDirs.flatMap(({ error, partitions }) => [
          `${broker}: error ${error}`,
          ...partitions
            .filter(({ partition }) => partition.startsWith('@'))
            .map(one => `${broker}: ${JSON.stringify(one)}`),
        ]),
      )
      .sort()
  })

const OF_TOOLS: Readonly<Record<string, Ends>> = {
  'kafka-topics': topics,
  'kafka-metadata-quorum': quorum,
  'kafka-log-dirs': logDirs,
  'kafka-cluster': lines =>
    sortedFrom(
      lines.map(line => line.replace(/(?<=^Cluster ID: ).*/, 'ID')),
      /^\d+ /,
    ),
  'kafka-features': lines =>
    lines.map(line =>
      line
        .replace(/(?<=Epoch: )\d+/, 'N')
        .replace(/(?<=^(Could|Can) not \w+ \S+( to \S+)?\.) .*/, ' ...'),
    ),
  'kafka-replica-verification': lines =>
    lines.map(line => line.replace(/^[\d-]{10} \S+?(?=: )/, 'TIME')),
}
