import type { ApiTable } from './apis/handler.ts'
import type { ClusterNode } from './cluster/node.ts'
import type { ClusterView } from './cluster/view.ts'
import type { DynamicConfigs } from './configs/dynamic.ts'
import type { NamedConfigs } from './configs/named.ts'
import type { Endpoint } from './endpoint.ts'
import type { GroupCoordinator } from './groups/coordinator.ts'
import type { Logger } from './logger.ts'
import type { MetadataStore } from './metadata/store.ts'
import type { Options } from './options.ts'
import type { FetchSessions } from './topics/fetch-sessions.ts'
import type { ProducerIds } from './topics/producer-ids.ts'
import type { Registry } from './topics/registry.ts'
import type { TaskPool } from './topics/task-pool.ts'

/** What the API handlers work with. */
export interface BrokerContext {
  readonly options: Options
  /** What is served: of every broker but a test's, all there is. */
  readonly apis: ApiTable
  readonly nodeId: number
  readonly clusterId: string
  readonly dataDir: string
  /** Starts of this broker on its data folder. */
  readonly brokerEpoch: number
  readonly store: MetadataStore
  /** Who is there, and who has what. */
  readonly cluster: ClusterView
  /** This broker's part in a cluster; null: it is alone. */
  readonly node: ClusterNode | null
  readonly registry: Registry
  readonly producerIds: ProducerIds
  readonly configs: DynamicConfigs
  readonly fetchSessions: FetchSessions
  readonly groupConfigs: NamedConfigs
  readonly clientMetrics: NamedConfigs
  readonly groups: GroupCoordinator
  readonly tasks: TaskPool
  readonly log: Logger
  /** Members of groups inside the process: they leave before the broker stops. */
  readonly guests: Set<{ close(): Promise<void> }>
  /** Where clients of this listener reach the broker. */
  endpoint(listener: string): Endpoint
  /** Why nothing may be appended now (the disk is nearly full), or null. */
  readonly refusesAppends: string | null
}
