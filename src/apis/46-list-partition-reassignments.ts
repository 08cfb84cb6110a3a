/**
 * ListPartitionReassignments (46): one broker has nowhere to move a partition to, so none is ever under way.
 */
import { listPartitionReassignmentsApi } from '../protocol/messages/46-list-partition-reassignments.ts'
import { defineApi } from './handler.ts'
import { NO_ERROR } from './topic-checks.ts'

export const listPartitionReassignments = defineApi(listPartitionReassignmentsApi, () => ({
  body: { ...NO_ERROR, topics: [] },
}))
