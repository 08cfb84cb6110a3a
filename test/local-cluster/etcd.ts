import { spawnSync } from 'node:child_process'
import { accessSync, constants, mkdirSync } from 'node:fs'
import http from 'node:http'
import { delimiter, join } from 'node:path'
import type { Child } from './child.ts'
import { CannotStart, type ClusterOptions, ROOT } from './options.ts'

const MISSING =
  "etcd is not installed; it keeps the cluster's metadata. Debian, Ubuntu: `sudo apt-get install etcd-server`. macOS: `brew install etcd`. " +
  'With Go: `npm run cluster -- --build-etcd`. Or give `--metadata etcd://host:2379`.'
const READY_MS_MAX = 30_000
const LOOK_MS = 50
const QUOTA_BYTES = 2 * 1024 ** 3

const builtIn = (dir: string): string => join(dir, 'bin', 'etcd')

/** The program. @throws CannotStart that says how to come by it */
export function findEtcd(dir: string, env: NodeJS.ProcessEnv): string {
  const { ETCD: given, PATH = '' } = env
  if (given !== undefined && given !== '') {
    if (isProgram(given)) return given
    throw new CannotStart(`ETCD names ${given}, which is no program.`)
  }
  const folders = PATH.split(delimiter).filter(folder => folder !== '')
  const found = [...folders.map(folder => join(folder, 'etcd')), builtIn(dir)].find(isProgram)
  if (found === undefined) throw new CannotStart(MISSING)
  return found
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // absent, or not ours to run
  }
}

/** From its sources, as the Go proxy has them: `go install` refuses it, a module that requires it does not. */
export function buildEtcd(dir: string, print: (line: string) => void): void {
  mkdirSync(join(dir, 'bin'), { recursive: true })
  print('building etcd with Go: minutes, the first time')
  const args = ['build', '-trimpath', '-ldflags', '-s -w', '-o', builtIn(dir), '.']
  const { error, status } = spawnSync('go', args, {
    cwd: join(ROOT, '.ci/etcd'),
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: 'inherit',
  })
  if (error !== undefined) throw new CannotStart(`Go cannot be run: ${error.message}`)
  if (status !== 0) throw new CannotStart('etcd could not be built: what go says is above.')
}

/** The command line: for this machine only. */
export function etcdCommand(program: string, { dir, etcdPorts }: ClusterOptions): string[] {
  const [client, peer] = etcdPorts.map(port => `http://127.0.0.1:${port}`)
  return [
    ...[program, '--name', 'local', '--data-dir', join(dir, 'etcd')],
    ...['--logger', 'zap', '--log-level', 'warn'],
    ...['--listen-client-urls', client!, '--advertise-client-urls', client!],
    ...['--listen-peer-urls', peer!, '--initial-advertise-peer-urls', peer!],
    ...['--initial-cluster', `local=${peer}`],
    ...['--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '1h'],
    ...['--quota-backend-bytes', String(QUOTA_BYTES)],
  ]
}

/** Resolves when it serves. @throws CannotStart */
export async function untilServing(child: Child, port: number): Promise<void> {
  const deadline = Date.now() + READY_MS_MAX
  while (!(await isHealthy(port)) || child.hasEnded) {
    if (child.hasEnded) {
      throw new CannotStart(
        `etcd has ended with ${child.end}; what it says is above. If port ${port} is in use, by an earlier run perhaps: --etcd-ports.`,
      )
    }
    if (Date.now() > deadline) throw new CannotStart(`etcd does not serve at port ${port}.`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

function isHealthy(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const request = http.get({ host: '127.0.0.1', port, path: '/health', timeout: 1_000 })
    request.on('timeout', () => request.destroy(new Error('no answer')))
    request.on('error', () => resolve(false))
    request.on('response', response => {
      response.resume()
      resolve(response.statusCode === 200)
    })
  })
}
