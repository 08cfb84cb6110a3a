import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '../../src/client/client.ts'
import { javaCommand, kafkaTool } from '../live/tools.ts'
import { type Ended, end, endAtExit, hasEnded } from './child.ts'
import { freePort } from './free-port.ts'
import { type Member, type Node, ProcessCluster } from './process-cluster.ts'

const READY_MS_MAX = 60_000
const STOP_MS_MAX = 60_000
const LOOK_MS = 100
const HEAP = ['-Xmx768m']

/** Apache Kafka in a process of its own. */
class KafkaProcess implements Node {
  readonly child: ChildProcess
  #output = ''

  private constructor(child: ChildProcess) {
    this.child = child
    endAtExit(child)
    const take = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-10_000)
    }
    child.stdout!.on('data', take)
    child.stderr!.on('data', take)
  }

  static async start(config: string, port: number): Promise<KafkaProcess> {
    const [java, ...args] = javaCommand('kafka.Kafka', HEAP)
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    const node = new KafkaProcess(spawn(java!, [...args, config], { stdio }))
    const deadline = Date.now() + READY_MS_MAX
    while (!(await accepts(port))) {
      if (node.hasEnded || Date.now() > deadline) throw new Error(`no Kafka:\n${node.#output}`)
      await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    }
    return node
  }

  get hasEnded(): boolean {
    return hasEnded(this.child)
  }

  async kill(): Promise<void> {
    await end(this.child, 'SIGKILL', STOP_MS_MAX)
  }

  stop(): Promise<Ended> {
    return end(this.child, 'SIGTERM', STOP_MS_MAX)
  }
}

async function accepts(port: number): Promise<boolean> {
  try {
    await (await Client.connect({ host: '127.0.0.1', port })).close()
    return true
  } catch {
    return false // it is not there yet
  }
}

/** Three nodes of Apache Kafka (KRaft), each broker and controller; what is not needed for that is as Kafka has it. */
export class KafkaCluster extends ProcessCluster<KafkaProcess> {
  readonly members: readonly Member<KafkaProcess>[]
  readonly #root: string

  private constructor(root: string, ports: readonly number[]) {
    super()
    this.#root = root
    this.members = ports.map((port, i) => {
      return { id: i + 1, port, dir: join(root, String(i + 1)), broker: null }
    })
  }

  static async start(): Promise<KafkaCluster> {
    const ports = await Promise.all([1, 2, 3].map(freePort))
    const controllerPorts = await Promise.all([1, 2, 3].map(freePort))
    const cluster = new KafkaCluster(mkdtempSync(join(tmpdir(), 'kafka-cluster-')), ports)
    const voters = controllerPorts.map((port, i) => `${i + 1}@127.0.0.1:${port}`).join(',')
    const id = (await kafkaTool('kafka.tools.StorageTool', ['random-uuid'])).stdout.trim()
    for (const member of cluster.members) {
      mkdirSync(member.dir)
      const controllerPort = controllerPorts[member.id - 1]!
      writeFileSync(configOf(member), serverProperties(member, controllerPort, voters))
      await kafkaTool('kafka.tools.StorageTool', ['format', '-t', id, '-c', configOf(member)])
    }
    await Promise.all(cluster.members.map(member => cluster.startBroker(member.id)))
    return cluster
  }

  override async startBroker(id: number): Promise<KafkaProcess> {
    const member = this.member(id)
    member.broker = await KafkaProcess.start(configOf(member), member.port)
    return member.broker
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const { broker } of this.members) await broker?.kill()
    rmSync(this.#root, { recursive: true, force: true })
  }
}

const configOf = ({ dir }: Pick<Member<Node>, 'dir'>): string => join(dir, 'server.properties')

function serverProperties(
  { id, port, dir }: Member<Node>,
  controllerPort: number,
  voters: string,
): string {
  return `process.roles=broker,controller
node.id=${id}
controller.quorum.voters=${voters}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${join(dir, 'data')}
default.replication.factor=3
min.insync.replicas=2
group.initial.rebalance.delay.ms=0
`
}
