import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { electLeadersApi } from '../../src/protocol/messages/43-elect-leaders.ts'
import { alterPartitionReassignmentsApi } from '../../src/protocol/messages/45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsApi } from '../../src/protocol/messages/46-list-partition-reassignments.ts'
import { errorsBy, versionsOf, Wire } from './wire.ts'

const test = suite('ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('here', 2)
})
test.after(() => wire.close())

test('partitions stay where they are: a move elsewhere is refused, there is none to call off', async () => {
  const { nodeId } = wire.node
  const asked = [[nodeId], [nodeId + 1], [], [nodeId, nodeId], null]
  const results: string[] = []
  for (const version of versionsOf(alterPartitionReassignmentsApi)) {
    for (const replicas of asked) {
      const topics = [{ name: 'here', partitions: [{ partitionIndex: 0, replicas }] }]
      const { responses } = await wire.send(alterPartitionReassignmentsApi, version, { topics })
      results.push(errorsBy(responses[0]!.partitions, p => p.partitionIndex)[0]!)
    }
  }
  const bad = 'INVALID_REPLICA_ASSIGNMENT'
  const expected = ['NONE', bad, bad, bad, 'NO_REASSIGNMENT_IN_PROGRESS']
  assert.equal(results, [...expected, ...expected])
  const partitions = [{ partitionIndex: 2, replicas: [nodeId] }]
  const topics = [{ name: 'here', partitions }]
  const { responses } = await wire.send(alterPartitionReassignmentsApi, 1, { topics })
  assert.equal(
    errorsBy(responses[0]!.partitions, p => p.partitionIndex),
    {
      2: 'UNKNOWN_TOPIC_OR_PARTITION',
    },
  )
  const listed = await wire.send(listPartitionReassignmentsApi, 0, {})
  assert.equal([listed.errorCode, listed.topics], [0, []])
})

test('a partition with its leader needs no election, one that is offline cannot have any', async () => {
  const topicPartitions = [{ topic: 'here', partitions: [0, 1, 7] }]
  wire.node.registry.partition('here', 1)!.goOffline('for the test')
  for (const version of versionsOf(electLeadersApi)) {
    const answer = await wire.send(electLeadersApi, version, { topicPartitions })
    assert.equal(
      errorsBy(answer.replicaElectionResults[0]!.partitionResult, p => p.partitionId),
      {
        0: 'ELECTION_NOT_NEEDED',
        1: 'PREFERRED_LEADER_NOT_AVAILABLE',
        7: 'UNKNOWN_TOPIC_OR_PARTITION',
      },
    )
  }
  const unclean = { electionType: 1, topicPartitions: null }
  const { replicaElectionResults } = await wire.send(electLeadersApi, 2, unclean)
  assert.equal(
    errorsBy(replicaElectionResults[0]!.partitionResult, p => p.partitionId),
    {
      1: 'ELIGIBLE_LEADERS_NOT_AVAILABLE',
    },
  )
  const unknown = await wire.send(electLeadersApi, 2, { electionType: 9, topicPartitions: null })
  assert.equal(
    errorsBy([unknown], () => 'all'),
    { all: 'INVALID_REQUEST' },
  )
})

test.run()
