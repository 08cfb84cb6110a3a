import type { ApiHandler, ApiTable } from '../apis/handler.ts'

/** Releases of Apache Kafka that a test broker can pass for. */
export const releases = ['2.8', '3.0', '3.3', '3.5', '3.7', '3.9', '4.0'] as const
export type Release = (typeof releases)[number]

/**
 * The versions that a broker of each release advertises, of the APIs that we have: from Kafka's message definitions, without
 * versions that were not stable in that release. A dash: the release does not have the API.
 * ListConfigResources was ListClientMetricsResources before 4.1, the same in its version 0.
 */
const advertised = {
  //                                 2.8  3.0  3.3  3.5  3.7  3.9  4.0
  Produce: /*                    */ '0-9  0-9  0-9  0-9  0-10 0-11 3-12',
  Fetch: /*                      */ '0-12 0-12 0-13 0-15 0-16 0-17 4-17',
  ListOffsets: /*                */ '0-6  0-7  0-7  0-8  0-8  0-9  1-10',
  Metadata: /*                   */ '0-11 0-11 0-12 0-12 0-12 0-12 0-13',
  OffsetCommit: /*               */ '0-8  0-8  0-8  0-8  0-9  0-9  2-9',
  OffsetFetch: /*                */ '0-7  0-8  0-8  0-8  0-9  0-9  1-9',
  FindCoordinator: /*            */ '0-3  0-4  0-4  0-4  0-4  0-6  0-6',
  JoinGroup: /*                  */ '0-7  0-7  0-9  0-9  0-9  0-9  2-9',
  Heartbeat: /*                  */ '0-4  0-4  0-4  0-4  0-4  0-4  0-4',
  LeaveGroup: /*                 */ '0-4  0-4  0-5  0-5  0-5  0-5  0-5',
  SyncGroup: /*                  */ '0-5  0-5  0-5  0-5  0-5  0-5  0-5',
  DescribeGroups: /*             */ '0-5  0-5  0-5  0-5  0-5  0-5  0-6',
  ListGroups: /*                 */ '0-4  0-4  0-4  0-4  0-4  0-5  0-5',
  ApiVersions: /*                */ '0-3  0-3  0-3  0-3  0-3  0-4  0-4',
  CreateTopics: /*               */ '0-7  0-7  0-7  0-7  0-7  0-7  2-7',
  DeleteTopics: /*               */ '0-6  0-6  0-6  0-6  0-6  0-6  1-6',
  DeleteRecords: /*              */ '0-2  0-2  0-2  0-2  0-2  0-2  0-2',
  InitProducerId: /*             */ '0-4  0-4  0-4  0-4  0-4  0-5  0-5',
  OffsetForLeaderEpoch: /*       */ '0-4  0-4  0-4  0-4  0-4  0-4  2-4',
  DescribeConfigs: /*            */ '0-4  0-4  0-4  0-4  0-4  0-4  1-4',
  AlterConfigs: /*               */ '0-2  0-2  0-2  0-2  0-2  0-2  0-2',
  AlterReplicaLogDirs: /*        */ '0-2  0-2  0-2  0-2  0-2  0-2  1-2',
  DescribeLogDirs: /*            */ '0-2  0-2  0-4  0-4  0-4  0-4  1-4',
  CreatePartitions: /*           */ '0-3  0-3  0-3  0-3  0-3  0-3  0-3',
  DeleteGroups: /*               */ '0-2  0-2  0-2  0-2  0-2  0-2  0-2',
  ElectLeaders: /*               */ '0-2  0-2  0-2  0-2  0-2  0-2  0-2',
  IncrementalAlterConfigs: /*    */ '0-1  0-1  0-1  0-1  0-1  0-1  0-1',
  AlterPartitionReassignments: /**/ '0-0  0-0  0-0  0-0  0-0  0-0  0-0',
  ListPartitionReassignments: /* */ '0-0  0-0  0-0  0-0  0-0  0-0  0-0',
  OffsetDelete: /*               */ '0-0  0-0  0-0  0-0  0-0  0-0  0-0',
  DescribeQuorum: /*             */ '-    -    0-1  0-1  0-1  0-2  0-2',
  UpdateFeatures: /*             */ '0-0  0-0  0-1  0-1  0-1  0-1  0-2',
  DescribeCluster: /*            */ '0-0  0-0  0-0  0-0  0-1  0-1  0-2',
  DescribeProducers: /*          */ '0-0  0-0  0-0  0-0  0-0  0-0  0-0',
  UnregisterBroker: /*           */ '-    0-0  0-0  0-0  0-0  0-0  0-0',
  ConsumerGroupHeartbeat: /*     */ '-    -    -    -    0-0  0-0  0-1',
  ConsumerGroupDescribe: /*      */ '-    -    -    -    -    0-0  0-1',
  ListConfigResources: /*        */ '-    -    -    -    0-0  0-0  0-0',
  DescribeTopicPartitions: /*    */ '-    -    -    -    -    0-0  0-0',
}

/** Kafka's name of an API that is served. */
export type ApiName = keyof typeof advertised

export const apiNames = Object.keys(advertised) as ApiName[]

/**
 * The API table as a broker of that release would have it. Versions that are too old for us are left out, and APIs that we do not have.
 * @internal
 */
export function asRelease(apis: ApiTable, release: Release): ApiTable {
  const column = releases.indexOf(release)
  if (column < 0) {
    throw new RangeError(`Kafka ${release} cannot be emulated; ${releases.join(', ')} can.`)
  }
  const served = Object.entries(apis).flatMap(([key, handler]) => {
    const narrowed = handler && narrow(handler, column)
    return narrowed === undefined ? [] : [[key, narrowed] as const]
  })
  return Object.fromEntries(served)
}

function narrow(handler: ApiHandler, column: number): ApiHandler | undefined {
  const name = handler.request.name.replace(/Request$/, '') as ApiName
  const versions = advertised[name].split(/ +/)[column]!
  if (versions === '-') return undefined
  const [min, max] = versions.split('-').map(Number) as [number, number]
  return { ...handler, min: Math.max(min, handler.min), max: Math.min(max, handler.max) }
}
