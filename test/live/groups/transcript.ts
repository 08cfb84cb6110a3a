import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { javaCommand } from '../tools.ts'

const COMMAND_MS_MAX = 45_000

const CLASSES: Readonly<Record<string, string>> = {
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-groups': 'org.apache.kafka.tools.GroupsCommand',
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
  'kafka-delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  'kafka-cluster': 'org.apache.kafka.tools.ClusterTool',
  'kafka-features': 'org.apache.kafka.tools.FeatureCommand',
  'kafka-client-metrics': 'org.apache.kafka.tools.ClientMetricsCommand',
  'kafka-metadata-quorum': 'org.apache.kafka.tools.MetadataQuorumCommand',
  'kafka-log-dirs': 'org.apache.kafka.tools.LogDirsCommand',
  'kafka-leader-election': 'org.apache.kafka.tools.LeaderElectionCommand',
  'kafka-reassign-partitions': 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  'kafka-transactions': 'org.apache.kafka.tools.TransactionsCommand',
}

/** In a command that needs no address, or has it elsewhere than at its end. */
const SAYS_WHERE = new Set(['--validate-regex', '--bootstrap-server'])

/** A command of a transcript and what it printed. */
export interface Entry {
  readonly command: string
  readonly output: readonly string[]
}

/** What `#` says in a transcript, and the commands below it. */
export interface Section {
  readonly title: string
  readonly entries: Entry[]
}

/** Reads a transcript: `# title`, `$ command`, and the lines that it printed. */
export function parseTranscript(text: string): Section[] {
  const sections: Section[] = []
  for (const block of text.split(/^(?=[#$] )/m)) {
    const [first, ...output] = block.trimEnd().split('\n')
    const rest = first!.slice(2)
    if (first!.startsWith('# ')) sections.push({ title: rest, entries: [] })
    else if (first!.startsWith('$ ')) sections.at(-1)!.entries.push({ command: rest, output })
  }
  return sections
}

export function formatTranscript(sections: readonly Section[]): string {
  const texts = sections.map(({ title, entries }) =>
    [`# ${title}`, ...entries.map(entryText)].join('\n\n'),
  )
  return `${texts.join('\n\n')}\n`
}

const entryText = ({ command, output }: Entry) => [`$ ${command}`, ...output].join('\n')

export interface Names {
  readonly address: string
  /** `@` in a transcript stands for it: before the names of groups and topics. */
  readonly prefix: string
  /** What `{name}` in a transcript stands for. */
  readonly values: Readonly<Record<string, string>>
}

/** Runs commands of Kafka's group tools, all in one JVM. */
export class GroupTools {
  readonly #child: ChildProcess
  readonly #names: Names
  #stderr = ''
  #taken: (line: string) => void = () => {}
  #ended: (error: Error) => void = () => {}

  constructor(names: Names) {
    this.#names = names
    const [java, ...args] = javaCommand('Commands')
    this.#child = spawn(java!, args, { stdio: 'pipe' })
    createInterface({ input: this.#child.stdout! }).on('line', line => this.#taken(line))
    this.#child.stderr!.on('data', chunk => {
      this.#stderr += chunk
    })
    this.#child.stdin!.on('error', () => {})
    this.#child.once('exit', code => this.#ended(new Error(`code ${code}\n${this.#stderr}`)))
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }

  /** Resolves to what the command printed, made comparable. */
  async run(command: string): Promise<string[]> {
    const [name, ...words] = command.split(' ')
    const args = words.map(word => this.#expand(word))
    if (!words.some(word => SAYS_WHERE.has(word))) {
      args.push('--bootstrap-server', this.#names.address)
    }
    const answer = this.#answer(command)
    this.#child.stdin!.write(`${JSON.stringify([CLASSES[name!], ...args])}\n`)
    const { code, output } = JSON.parse(await answer) as { code: number; output: string }
    const lines = normalize(this.#contract(output))
    return code === 0 ? lines : [...lines, `(exit ${code})`]
  }

  #answer(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${command}: ${why}\n${this.#stderr}`))
      const timer = setTimeout(() => fail(`not done in ${COMMAND_MS_MAX} ms`), COMMAND_MS_MAX)
      this.#ended = error => fail(error.message)
      this.#taken = line => {
        clearTimeout(timer)
        resolve(line)
      }
    })
  }

  #expand(word: string): string {
    const { prefix, values } = this.#names
    return word.replaceAll('@', prefix).replace(/\{(\w+)\}/, (_, name) => values[name]!)
  }

  #contract(output: string): string {
    return output
      .replaceAll(this.#names.prefix, '@')
      .replaceAll(new RegExp(`${this.#names.address} +\\(\\d+\\)`, 'g'), 'BROKER')
  }
}

/**
 * What of an output can be compared: no stack traces and usage texts, no ids of members, no widths of columns; and what
 * the tools print as their hash maps have it is sorted: rows below a header, messages of one kind, lists of values.
 */
function normalize(output: string): string[] {
  const blocks = output.split(/\n\s*\n/).map(block =>
    block
      .split('\n')
      .filter(line => !/^\s+at |^Caused by: |^\s*\.\.\. \d+ more/.test(line))
      .map(line => line.trim().replace(/ +/g, ' '))
      .map(line => line.replace(/kafkajs-[\w-]{22,}/, 'ID'))
      .map(line => line.replace(/(?<= )[\w/+-]{22}(?= (instance-1 )?\/127)/, 'ID'))
      .filter(line => line !== ''),
  )
  const lines = sortRuns(blocks.flatMap(block => (isTable(block) ? tableOf(block) : block))).map(
    line => line.replace(/(?<=(Valid \w+ are|scenarios|options): )(.*)$/, sortList),
  )
  const usage = lines.findIndex(line => /^Option (Description)?( -+)?$/.test(line))
  return usage === -1 ? lines : [...lines.slice(0, usage), '(usage)']
}

const isTable = (lines: readonly string[]) => /^(GROUP|TOPIC|@|")/.test(lines[0] ?? '')

function tableOf(lines: readonly string[]): string[] {
  const hasHeader = /^(GROUP|TOPIC) /.test(lines[0]!)
  const header = hasHeader ? lines.slice(0, 1) : []
  return [...header, ...lines.slice(header.length).sort()]
}

/** [[b], [a]] and b, a: both are printed. */
function sortList(_: string, _before: string, list: string): string {
  return list.replace('[[', '[').replace(']]', ']').split(', ').sort().join(', ')
}

/** Sorts lines that follow each other and begin with the same word, if that is one of messages. */
function sortRuns(lines: readonly string[]): string[] {
  const runs: string[][] = []
  for (const line of lines) {
    const word = line.split(' ')[0]!
    const isMessage = ['Error:', 'Warn:', '*'].includes(word)
    const run = runs.at(-1)
    if (isMessage && run?.[0]?.startsWith(`${word} `)) run.push(line)
    else runs.push([line])
  }
  return runs.flatMap(run => run.sort())
}

/** What a tool's line says in the end: which kind of error it was, not in which words; not what differs from one broker to the next. */
export function outcome(line: string): string {
  return line
    .replace(/((?:Exception|command) ?:) (?!org\.apache).*/, '$1 ...')
    .replace(/--bootstrap-server \S+/, '--bootstrap-server BROKER')
    .replace(/TopicId: \S+/, 'TopicId: ID')
    .replace(/"log_dirs":\["[^"]*"\]/g, '"log_dirs":[DIR]')
    .replace(/"\/[^"]*"/g, '"DIR"')
    .replace(/(?<=127\.0\.0\.1 )\d+/, 'PORT')
    .trimEnd()
}
