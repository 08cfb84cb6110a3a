import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULT_RELEASE, etcdProgram } from '../lib/etcd.ts'
import { freePort } from '../lib/free-port.ts'
import { lines, program, run } from '../live/tools.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SCRIPT = 'test/local-cluster/main.ts'
const READY_MS_MAX = 60_000
const WRITTEN = /acknowledged with acks=all after \d+ ms, and is on the disks of brokers 1, 2, 3/

const test = suite('npm run cluster')
const dir = mkdtempSync(join(tmpdir(), 'odradek-local-'))
const ports: number[] = []
let etcdPorts = ''

test.before(async () => {
  for (let i = 0; i < 3; i++) ports.push(await freePort())
  etcdPorts = `${await freePort()},${await freePort()}`
})
test.after(() => rmSync(dir, { recursive: true }))

/** The script, in a process group of its own, as a terminal gives it one. */
class Running implements AsyncDisposable {
  readonly child: ChildProcess
  output = ''

  constructor(more: readonly string[], env: NodeJS.ProcessEnv) {
    const args = ['--ports', ports.join(), '--etcd-ports', etcdPorts, '--dir', dir, ...more]
    this.child = spawn(process.execPath, ['--import', 'tsx', SCRIPT, ...args], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', chunk => {
        this.output += chunk
      })
    }
  }

  static async start(...more: string[]): Promise<Running> {
    const running = new Running(more, { ETCD: etcdProgram(DEFAULT_RELEASE)! })
    const deadline = Date.now() + READY_MS_MAX
    while (!WRITTEN.test(running.output)) {
      const hasEnded = running.child.exitCode !== null
      if (hasEnded || Date.now() > deadline) {
        await running[Symbol.asyncDispose]()
        throw new Error(running.output)
      }
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    return running
  }

  /** To the whole group, as a terminal does it. @returns the code it ends with */
  async ctrlC(): Promise<number | null> {
    const closed = once(this.child, 'close')
    process.kill(-this.child.pid!, 'SIGINT')
    await closed
    return this.child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null) return
    await this.ctrlC()
  }
}

const kcat = (args: readonly string[], input = '') =>
  run(program('kcat'), ['-b', ports.map(port => `127.0.0.1:${port}`).join(), ...args], { input })

const values = Array.from({ length: 200 }, (_, i) => `value ${i}`)
const read = async (): Promise<string[]> =>
  lines((await kcat(['-C', '-t', 'kept', '-e', '-q'])).stdout).sort()

test('is written to, is stopped by Ctrl-C in order, and has its data when it is started again', async () => {
  await using first = await Running.start()
  await kcat(['-P', '-t', 'kept', '-X', 'acks=all'], values.join('\n'))
  assert.equal(await read(), [...values].sort())
  assert.is(await first.ctrlC(), 0)
  const stopped = lines(first.output)
    .filter(line => line.endsWith(' stopped'))
    .map(line => line[0])
  assert.equal(stopped, ['3', '2', '1'])
  // Whoever dies of the signal itself says nothing of it, or that it is recovered at the next start.
  await using second = await Running.start()
  assert.not.match(second.output, 'recovered')
  assert.equal(await read(), [...values].sort())
  assert.is(await second.ctrlC(), 0)
})

test('--reset begins without the data', async () => {
  await using running = await Running.start('--reset')
  const { stdout } = await kcat(['-L', '-J'])
  const { topics } = JSON.parse(stdout) as { readonly topics: readonly { topic: string }[] }
  assert.not.ok(topics.some(({ topic }) => topic === 'kept'))
  assert.is(await running.ctrlC(), 0)
  assert.equal(readdirSync(dir).sort(), ['1', '2', '3', 'etcd'])
})

test('leaves nothing behind when its terminal is closed', async () => {
  await using running = await Running.start()
  const pids = [...running.output.matchAll(/(?:etcd|[123]) (\d+)(?=[,;])/g)].map(([, pid]) =>
    Number(pid),
  )
  assert.is(pids.length, 4)
  running.child.stdout!.destroy()
  running.child.stderr!.destroy()
  const exited = once(running.child, 'exit')
  process.kill(-running.child.pid!, 'SIGHUP')
  await exited
  assert.is(running.child.exitCode, 0)
  assert.equal(pids.filter(isAlive), [])
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false // there is no such process
  }
}

async function refused(more: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const running = new Running(more, env)
  await once(running.child, 'close')
  assert.is(running.child.exitCode, 1)
  return running.output
}

test('without etcd it says at once how to come by it', async () => {
  const output = await refused([], { ETCD: '', PATH: '/nowhere' })
  assert.is(
    output,
    "etcd is not installed; it keeps the cluster's metadata. Debian, Ubuntu: `sudo apt-get install etcd-server`. macOS: `brew install etcd`. With Go: `npm run cluster -- --build-etcd`. Or give `--metadata etcd://host:2379`.\n",
  )
})

test('what cannot be is refused before anything is started', async () => {
  assert.match(await refused(['--brokers', 'two'], {}), '--brokers takes one number')
  assert.match(await refused(['--brokers', '2'], {}), '--brokers 2 does not go with 3 ports')
  const others = ['--metadata', 'etcd://127.0.0.1:1/p', '--reset']
  assert.match(await refused(others, {}), '--reset removes data of this script')
  assert.match(await refused([], { ETCD: '/nowhere/etcd' }), 'ETCD names /nowhere/etcd')
})

test.run()
