/** `npm run cluster`: an etcd and brokers on this machine, to try a cluster with. See HELP in options.ts. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writeOne } from './check.ts'
import { Child } from './child.ts'
import { buildEtcd, etcdCommand, findEtcd, untilServing } from './etcd.ts'
import { CannotStart, type ClusterOptions, HELP, optionsOf, ROOT } from './options.ts'

const PROGRAM = join(ROOT, 'dist/src/cli/main.js')
const READY = / is ready on /
/** A broker hands over for at most 30 s, and flushes. */
const BROKER_STOP_MS_MAX = 40_000
const ETCD_STOP_MS_MAX = 10_000
const PARENT = process.ppid
const PARENT_CHECK_MS = 250

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const say = (line: string): void => print(`cluster | ${line}`)

/** All processes, in the order in which they were started. */
const children: Child[] = []
let isStopping = false

function start(name: string, command: readonly string[]): Child {
  // What etcd says of its own end looks worse than it is.
  const told = (line: string): void => {
    if (!isStopping || name !== 'etcd') print(line)
  }
  const child = new Child(name, command, told, dead => {
    if (!isStopping) say(`${dead.name.trim()} has ended with ${dead.end}`)
  })
  children.push(child)
  return child
}

/** The newest change of the sources, in ms. */
function newest(folder: string): number {
  const times = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(
    name => statSync(join(folder, name)).mtimeMs,
  )
  return Math.max(...times)
}

/** What is run is what the sources say. */
function build(): void {
  const sources = ['src', 'workers'].map(folder => newest(join(ROOT, folder)))
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs > Math.max(...sources)) return
  say('building dist, for the sources are newer')
  execFileSync('npm', ['run', '--silent', 'build:esm'], { cwd: ROOT, stdio: 'inherit' })
}

function brokerCommand(id: number, { dir, ports }: ClusterOptions, metadata: string): string[] {
  const overrides = [
    ...[`node.id=${id}`, `listeners=PLAINTEXT://127.0.0.1:${ports[id - 1]}`],
    ...[`log.dirs=${join(dir, String(id))}`, `odradek.metadata=${metadata}`],
  ]
  return [process.execPath, PROGRAM, 'start', ...overrides.flatMap(one => ['--override', one])]
}

async function startAll(options: ClusterOptions): Promise<void> {
  const { dir, ports, etcdPorts, metadata, resets, buildsEtcd } = options
  if (buildsEtcd) buildEtcd(dir, say)
  const program = metadata === null ? findEtcd(dir, process.env) : null
  build()
  mkdirSync(dir, { recursive: true })
  if (resets) {
    const isData = (name: string): boolean => name === 'etcd' || /^\d+$/.test(name)
    for (const name of readdirSync(dir).filter(isData)) rmSync(join(dir, name), { recursive: true })
    say('the data of earlier runs is removed')
  }
  if (program !== null) {
    await untilServing(start('etcd', etcdCommand(program, options)), etcdPorts[0])
  }
  const url = metadata ?? `etcd://127.0.0.1:${etcdPorts[0]}/local`
  const brokers = ports.map((_, i) => start(`${i + 1}   `, brokerCommand(i + 1, options, url)))
  await Promise.all(brokers.map(broker => broker.says(READY)))
  const addresses = ports.map(port => `127.0.0.1:${port}`)
  const { inSync, ms } = await writeOne(addresses)
  say(
    `a record was acknowledged with acks=all after ${ms.toFixed(0)} ms, and is on the disks of brokers ${inSync.join(', ')}`,
  )
  const pids = children.map(({ name, pid }) => `${name.trim()} ${pid}`).join(', ')
  say(`bootstrap.servers=${addresses.join(',')}; processes: ${pids}; data in ${dir}; Ctrl-C stops`)
}

/** Brokers first, one after the other: each hands over what it leads while there is somebody to take it. */
async function stopAll(reason: string, code: number): Promise<void> {
  if (isStopping) {
    if (code === 0) for (const child of children) child.kill()
    return
  }
  isStopping = true
  say(`${reason}: stopping brokers, then etcd; again ends them at once`)
  for (const child of [...children].reverse()) {
    const isEtcd = child.name === 'etcd'
    await child.stop(isEtcd ? ETCD_STOP_MS_MAX : BROKER_STOP_MS_MAX)
  }
  say('stopped; the data stays')
  process.exit(code)
}

/** Nobody reads any more, as when a terminal is closed: the signal that comes with that has to be served all the same. */
process.stdout.on('error', () => {})
/** However this ends: none is left behind, for they have groups of their own. */
process.on('exit', () => {
  for (const child of children) child.terminate()
})

/** npm passes a signal on to a shell, which does not: what tells is that the parent is another one. */
function stopWithParent(): void {
  setInterval(() => {
    if (process.ppid !== PARENT && !isStopping) void stopAll('npm has ended', 0)
  }, PARENT_CHECK_MS).unref()
}

async function failed(error: unknown): Promise<void> {
  const text = error instanceof CannotStart ? error.message : (error as Error).stack
  process.stderr.write(`${text}\n`)
  if (children.length === 0) process.exitCode = 1
  else await stopAll('it could not be started', 1)
}

try {
  const options = optionsOf(process.argv.slice(2))
  if (options === null) process.stdout.write(HELP)
  else {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => void stopAll(signal, 0))
    }
    stopWithParent()
    await startAll(options)
  }
} catch (error) {
  // Amid a stop it is what the stop has ended.
  if (!isStopping) await failed(error)
}
