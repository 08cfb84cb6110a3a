/**
 * ListPartitionReassignments (46): the partitions asked for, or all, that are being moved. A broker alone has nowhere to move
 * any to.
 */
import { listPartitionReassignmentsApi } from '../protocol/messages/46-list-partition-reassignments.ts'
import type { Topic } from '../topics/registry.ts'
import { indexesOf } from '../topics/topic-table.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'
import { NO_ERROR } from './topic-checks.ts'

export const listPartitionReassignments = defineApi(
  listPartitionReassignmentsApi,
  async ({ topics }, { broker, pace }) => {
    const { registry } = broker
    const asked =
      topics === null
        ? [...registry.topics].map(topic => ({ topic, indexes: indexesOf(topic) }))
        : topics.flatMap(({ name, partitionIndexes }) => {
            const topic = registry.topic(name)
            return topic === undefined ? [] : [{ topic, indexes: partitionIndexes }]
          })
    const moving = await eachPaced(asked, pace, ({ topic, indexes }) => ({
      name: topic.name,
      partitions: indexes.flatMap(index => moveOf(broker, topic, index)),
    }))
    return { body: { ...NO_ERROR, topics: moving.filter(one => one.partitions.length > 0) } }
  },
)

function moveOf({ cluster }: RequestContext['broker'], topic: Topic, partitionIndex: number) {
  const { replicas, adding, removing } = cluster.place(topic, partitionIndex)
  if (adding.length + removing.length === 0) return []
  return [{ partitionIndex, replicas, addingReplicas: adding, removingReplicas: removing }]
}
