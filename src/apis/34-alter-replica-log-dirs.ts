/**
 * AlterReplicaLogDirs (34), versions 1-2: moves replicas of this broker to another of its log directories, which is answered as a
 * broker with one answers: there they are already, and there is no other. Of a partition that is named for two, the last counts.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type AlterReplicaLogDirsRequest,
  alterReplicaLogDirsApi,
} from '../protocol/messages/34-alter-replica-log-dirs.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'

export const alterReplicaLogDirs = defineApi(alterReplicaLogDirsApi, async (request, context) => {
  const { broker, pace } = context
  const results = []
  for (const [topicName, wanted] of await pathsWanted(request, context)) {
    const partitions = await eachPaced([...wanted], pace, ([partitionIndex, path]) => ({
      partitionIndex,
      errorCode: resultOf(broker, topicName, partitionIndex, path),
    }))
    results.push({ topicName, partitions })
  }
  return { body: { results } }
})

/** By topic and partition. */
async function pathsWanted({ dirs }: AlterReplicaLogDirsRequest, { pace }: RequestContext) {
  const wanted = new Map<string, Map<number, string>>()
  for (const { path, topics } of dirs) {
    for (const { name, partitions } of topics) {
      const paths = wanted.get(name) ?? new Map<number, string>()
      wanted.set(name, paths)
      await eachPaced(partitions, pace, index => void paths.set(index, path))
    }
  }
  return wanted
}

function resultOf(
  { registry, dataDir }: RequestContext['broker'],
  topic: string,
  index: number,
  path: string,
): ErrorCode {
  if (path !== dataDir) return ErrorCode.LOG_DIR_NOT_FOUND
  if (!registry.has(topic, index)) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const partition = registry.partition(topic, index)
  if (partition === undefined) return ErrorCode.REPLICA_NOT_AVAILABLE
  return partition.offline === null ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR
}
