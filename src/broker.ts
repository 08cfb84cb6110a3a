import type { ApiTable } from './apis/handler.ts'
import type { BrokerContext } from './broker-context.ts'
import type { ClusterNode } from './cluster/node.ts'
import { SoloView } from './cluster/solo.ts'
import type { ClusterView } from './cluster/view.ts'
import { DynamicConfigs } from './configs/dynamic.ts'
import { NamedConfigs } from './configs/named.ts'
import { brokerValue } from './configs/values.ts'
import { addressOf, type Endpoint } from './endpoint.ts'
import type { GroupCoordinator } from './groups/coordinator.ts'
import { every } from './guarded.ts'
import type { Logger } from './logger.ts'
import type { MetadataStore } from './metadata/store.ts'
import type { NetServer } from './net/server.ts'
import type { OptionSources } from './options.ts'
import { type Options, resolveOptions } from './options.ts'
import { Cleaner, cleanerSettings } from './topics/cleaner.ts'
import { DataDir, DataDirError } from './topics/data-dir.ts'
import { DiskWatch } from './topics/disk-watch.ts'
import { FetchSessions } from './topics/fetch-sessions.ts'
import type { Partition } from './topics/partition.ts'
import { ProducerIds } from './topics/producer-ids.ts'
import type { Registry } from './topics/registry.ts'
import { TaskPool } from './topics/task-pool.ts'
import { WorkerPool } from './topics/worker-pool.ts'

/** What is loaded while the worker threads start: the protocol, all APIs, the logger. */
async function loadLateModules() {
  const [{ NetServer }, { Registry }, { LocalTopics }, groups, { default: pino }] =
    await Promise.all([
      import('./net/server.ts'),
      import('./topics/registry.ts'),
      import('./topics/local-topics.ts'),
      import('./groups/start.ts'),
      import('pino'),
    ])
  return { NetServer, Registry, LocalTopics, groups, pino }
}

type LateModules = Awaited<ReturnType<typeof loadLateModules>>

/** The metadata's reserve is looked at, and how new the cluster's metadata is noted, this often, in ms; the first time is past what tests and a start take. */
const UPKEEP_MS = 5_000

/** Everything a running broker is made of. Wiring only: what starts before what, and what stops before what. */
export class BrokerNode implements BrokerContext {
  readonly options: Options
  readonly log: Logger
  readonly store: MetadataStore
  readonly registry: Registry
  readonly producerIds: ProducerIds
  readonly configs: DynamicConfigs
  readonly groupConfigs: NamedConfigs
  readonly clientMetrics: NamedConfigs
  readonly groups: GroupCoordinator
  readonly fetchSessions: FetchSessions
  readonly tasks: TaskPool
  readonly cleaner: Cleaner
  readonly guests = new Set<{ close(): Promise<void> }>()
  readonly brokerEpoch: number
  readonly cluster: ClusterView
  /** Its part in a cluster; null: it is alone. */
  readonly node: ClusterNode | null
  readonly #dataDir: DataDir
  readonly #workers: WorkerPool
  readonly #server: NetServer
  readonly #disk: DiskWatch
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #bound: string[] = []
  #retention: NodeJS.Timeout | null = null
  #upkeep: NodeJS.Timeout | null = null
  #closing: Promise<void> | null = null

  private constructor(parts: {
    options: Options
    log: Logger
    dataDir: DataDir
    store: MetadataStore
    configs: DynamicConfigs
    groupConfigs: NamedConfigs
    clientMetrics: NamedConfigs
    workers: WorkerPool
    brokerEpoch: number
    tasks: TaskPool
    code: LateModules
    node: ClusterNode | null
  }) {
    this.options = parts.options
    this.log = parts.log
    this.#dataDir = parts.dataDir
    this.store = parts.store
    this.configs = parts.configs
    this.groupConfigs = parts.groupConfigs
    this.clientMetrics = parts.clientMetrics
    this.#workers = parts.workers
    this.brokerEpoch = parts.brokerEpoch
    this.node = parts.node
    this.tasks = parts.tasks
    this.producerIds = new ProducerIds(this.store)
    this.fetchSessions = new FetchSessions(this.options.limits.fetchSessionsMax)
    const workers = this.#workers.links
    const dataDir = this.#dataDir.path
    this.registry = new parts.code.Registry({
      workers,
      dataDir,
      source: table => {
        const { store, brokerEpoch, log } = this
        if (this.node !== null) {
          const configView = () => this.configs.view
          return this.node.topicsFor(table, {
            nodeStore: this.#dataDir.store,
            workers,
            dataDir,
            configView,
          })
        }
        const { nodeId } = this
        const own = { nodeId, store, brokerEpoch, configView: () => this.configs.view }
        return new parts.code.LocalTopics({ ...own, table, workers, dataDir, log })
      },
      openSegmentsMax: this.options.limits.openSegmentsMax,
      configView: () => this.configs.view,
      refusesGrowth: () => {
        this.#disk.check()
        return this.#disk.refusal
      },
      producerIdExpirationMs: () => brokerValue('producer.id.expiration.ms', this.configs.view),
      log: this.log,
    })
    this.node?.attach(this.registry, () => this.configs.view)
    this.cluster =
      this.node?.view ??
      new SoloView({
        nodeId: this.nodeId,
        rack: this.options.settings.brokerRack,
        endpoint: listener => this.endpoint(listener),
        registry: () => this.registry,
        starts: this.brokerEpoch,
        directoryId: this.#dataDir.directoryId,
        store: this.store,
      })
    this.cleaner = new Cleaner({
      registry: this.registry,
      settings: () => cleanerSettings(this.configs.view),
      log: this.log,
    })
    this.groups = parts.code.groups.makeCoordinator(this)
    this.#server = new parts.code.NetServer(this)
    const { links } = this.#workers
    const appended = (): number => links.reduce((sum, link) => sum + link.appendedBytes, 0)
    this.#disk = new DiskWatch(this.#dataDir.path, appended, this.log, refusal => {
      if (refusal === null) this.log.info({}, 'the disk has room again: appends resume')
      else this.log.error({}, refusal)
      this.node?.setFull(refusal !== null)
    })
    this.#dataDir.store.onBadWatcher = err =>
      this.log.error({ err }, 'bug: a listener of the metadata failed')
  }

  /**
   * Starts a broker; clients can connect when this resolves. Without a logger it is silent.
   * @throws InvalidOption, DataDirError, MetadataCorrupt, ListenError, or what the storage found damaged
   */
  static async start(
    sources: OptionSources,
    logger?: Logger | Promise<Logger>,
  ): Promise<BrokerNode> {
    const alone = resolveOptions(sources)
    const isAlone = alone.settings.metadata === null && sources.metadata === undefined
    const joining = isAlone ? null : await import('./cluster/join.ts')
    const options = joining === null ? alone : resolveOptions(joining.inCluster(sources))
    const { settings, limits, nodeId } = options
    let lost: (worker: WorkerPool['links'][number], error: Error) => void = () => {}
    const workers = new WorkerPool({
      workers: settings.partitionWorkers,
      ringBytes: limits.ringBytes,
      journalFileBytes: limits.journalFileBytes,
      openLogsMax: limits.openLogsMax,
      onLost: (worker, error) => lost(worker, error),
    })
    const undo: (() => unknown)[] = [() => workers.kill()]
    try {
      const place = await joining?.openMetadata(options, await loggerOf(logger), sources.metadata)
      if (place !== undefined) undo.push(() => place.store.close())
      const clusterId = place?.clusterId ?? settings.clusterId
      const dataDir = new DataDir(options.dataDir, nodeId, clusterId)
      // Last of all: until the workers are gone nobody else may have the folder.
      undo.push(() => dataDir.unlock())
      undo.unshift(() => dataDir.store.close())
      checkAlone(dataDir, isAlone)
      const store = place?.store ?? dataDir.store
      workers.run(dataDir.path, dataDir.wasClean)
      const code = await loadLateModules()
      const log = (await logger) ?? code.pino({ level: 'silent' })
      for (const warning of options.warnings) log.warn({}, warning)
      if (dataDir.lockDoubt !== null) log.warn({}, dataDir.lockDoubt)
      for (const note of dataDir.notes) log.warn({}, note)
      const brokerEpoch = await dataDir.begin()
      // What the cluster tells before there is a broker, this reads when it is made.
      let made: BrokerNode | null = null
      const told = {
        onLed: (partition: Partition): void => {
          if (made !== null) made.#led(partition)
        },
        onKeys: (keys: readonly string[]): void => {
          if (made !== null) made.#configured(keys)
        },
      }
      const node =
        (await joining?.makeNode(options, place!, dataDir, log, told, sources.dial)) ?? null
      if (node !== null) undo.unshift(() => node.close())
      const configs = new DynamicConfigs(store, options)
      await configs.load()
      const groupConfigs = new NamedConfigs(store, 'groups')
      await groupConfigs.load()
      const clientMetrics = new NamedConfigs(store, 'client-metrics')
      await clientMetrics.load()
      const tasks = new TaskPool()
      undo.unshift(() => tasks.close())
      const kept = { store, configs, groupConfigs, clientMetrics }
      const parts = { options, log, dataDir, workers, ...kept }
      const broker: BrokerNode = new BrokerNode({ ...parts, brokerEpoch, tasks, code, node })
      made = broker
      lost = (worker, error) => {
        log.error({ err: error }, 'a partition worker has died: its partitions are offline')
        broker.registry.replicas.loseWorker(worker, `its worker has died: ${error.message}`)
      }
      await dataDir.expectNoMoreThan(settings.partitionWorkers)
      await broker.registry.load()
      await dataDir.expectJournals(settings.partitionWorkers)
      // From here on a failure is no crash: what is open is closed as at any stop, and left clean.
      undo.splice(0, undo.length, () => broker.close())
      await broker.#open()
      return broker
    } catch (error) {
      for (const step of undo) await step()
      throw error
    }
  }

  async #open(): Promise<void> {
    await this.groups.load()
    if (this.options.settings.logCleanerEnable) this.cleaner.start()
    this.#disk.check()
    for (const listener of this.options.listeners) await this.#listen(listener)
    const retentionMs = Number(this.options.settings.logRetentionCheckIntervalMs)
    const retain = (): Promise<void> => this.registry.rounds.applyRetention()
    this.#retention = every(retentionMs, this.log, 'retention failed', retain)
    await this.#join()
    const keep = (): Promise<void> => {
      this.#keepReserve()
      return this.#noteRevision()
    }
    this.#upkeep = every(UPKEEP_MS, this.log, 'the upkeep failed', keep)
  }

  /** What the folder was found to be has reached the cluster then: only from here on a stop may leave it clean. */
  async #join(): Promise<void> {
    if (this.node === null) return
    await this.node.join(Object.fromEntries(this.#endpoints))
    const { bootId } = await import('./cluster/join.ts')
    await this.#dataDir.noteBoot(bootId())
  }

  async #noteRevision(): Promise<void> {
    if (this.node !== null) await this.#dataDir.noteRevision(this.node.image.revision)
  }

  /** A partition is led here from now on, or no longer. */
  #led(partition: Partition): void {
    this.groups.led(partition).catch(err => {
      this.log.error({ err, partition: partition.name }, 'bug: its groups could not be loaded')
    })
  }

  /** Another broker, or this one, has changed configs. */
  #configured(keys: readonly string[]): void {
    const entry = (key: string) => this.node!.image.entry(key)
    const others = [this.groupConfigs, this.clientMetrics]
    for (const key of keys) for (const configs of others) configs.told(key, entry(key))
    const isOurs = keys.filter(key => this.configs.told(key, entry(key))).length > 0
    if (!isOurs) return
    this.registry.reconfigure().catch(err => {
      this.log.error({ err }, 'bug: changed configs could not be applied')
    })
  }

  #keepReserve(): void {
    if (this.#disk.refusal !== null) return
    try {
      this.#dataDir.store.ensureReserve()
    } catch (err) {
      this.log.warn({ err }, 'no room is kept for metadata on a full disk')
    }
  }

  async #listen(listener: Options['listeners'][number]): Promise<void> {
    const port = await this.#server.listen(listener)
    const advertised = this.options.advertised.find(a => a.name === listener.name)
    const host = advertised?.host ?? listener.host
    const given = advertised?.port ?? 0
    this.#endpoints.set(listener.name, { host, port: given === 0 ? port : given })
    const address = addressOf({ host: listener.host || '0.0.0.0', port })
    this.#bound.push(`${listener.name}://${address}`)
  }

  /** From now on it does not keep the process alive, but for what is under way: as `unref` of Node's own servers. */
  unref(): void {
    this.#server.unref()
    this.#workers.unref()
  }

  get apis(): ApiTable {
    return this.#server.apis
  }

  /** For tests: what is served from now on. */
  set apis(table: ApiTable) {
    this.#server.apis = table
  }

  get nodeId(): number {
    return this.options.nodeId
  }

  get clusterId(): string {
    return this.#dataDir.clusterId
  }

  get dataDir(): string {
    return this.#dataDir.path
  }

  /** Whether the data folder had been left clean, or was new. */
  get wasClean(): boolean {
    return this.#dataDir.wasClean
  }

  get refusesAppends(): string | null {
    return this.#disk.refusal
  }

  /** The listeners as they were opened, with their ports. */
  get bound(): readonly string[] {
    return this.#bound
  }

  get connectionCount(): number {
    return this.#server.connectionCount
  }

  endpoint(listener: string): Endpoint {
    return this.#endpoints.get(listener)!
  }

  /** Drains, flushes, leaves the clean marker. Idempotent; takes at most about 5 s, besides a drain. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#retention !== null) clearInterval(this.#retention)
    if (this.#upkeep !== null) clearInterval(this.#upkeep)
    this.#disk.close()
    await Promise.allSettled([...this.guests].map(guest => guest.close()))
    await this.node?.drain()
    this.groups.close()
    await this.#server.close()
    this.node?.close()
    await this.cleaner.close()
    await this.tasks.close()
    const clean = await this.#workers.close()
    await this.registry.replicas.close()
    await this.store.close()
    await this.#noteRevision()
    await this.#dataDir.store.close()
    const isTold = this.node?.hasJoined !== false
    if (clean && isTold && !this.#dataDir.store.hasFailed) this.#dataDir.markClean()
    else this.log.error({}, 'not everything could be flushed: the next start will verify the logs')
    this.#dataDir.unlock()
  }

  /** Ends everything as a crash would, for tests: nothing is flushed, no clean marker is left. */
  async kill(): Promise<void> {
    this.#closing ??= (async () => {
      if (this.#retention !== null) clearInterval(this.#retention)
      if (this.#upkeep !== null) clearInterval(this.#upkeep)
      this.#disk.close()
      // Before anything could be answered: who waits finds the connection gone, as after a crash.
      this.#server.kill()
      this.node?.close(false)
      this.groups.close()
      await this.#workers.kill()
      await this.cleaner.close()
      await this.tasks.close()
      await this.registry.replicas.close()
      // The lease ends by itself, as after a crash.
      await this.store.close()
      await this.#dataDir.store.close()
      this.#dataDir.unlock()
    })()
    await this.#closing
  }
}

/** Records of a cluster's topics are in the folder, and what topics these are is not: alone they would be nobody's. */
function checkAlone({ path, cluster }: DataDir, isAlone: boolean): void {
  if (!isAlone || cluster === null) return
  throw new DataDirError(
    `The data folder ${path} belongs to a broker of a cluster, whose metadata is at ${cluster}: start it with odradek.metadata, or use another log.dirs.`,
  )
}

/** What a cluster has to say comes before the broker's own code is loaded. */
async function loggerOf(logger: Logger | Promise<Logger> | undefined): Promise<Logger> {
  return (await logger) ?? (await import('pino')).default({ level: 'silent' })
}
