/** The bits of these operations in an authorizedOperations field; numbers are AclOperation's (KIP-430). */
const bits = (...operations: number[]): number =>
  operations.reduce((sum, operation) => sum | (1 << operation), 0)

/** What everybody may do to a topic where there is no authorizer: read, write, create, delete, alter, describe, configs. */
export const TOPIC_OPERATIONS = bits(3, 4, 5, 6, 7, 8, 10, 11)
/** The same for the cluster: create, alter, describe, cluster action, configs, idempotent write. */
export const CLUSTER_OPERATIONS = bits(5, 7, 8, 9, 10, 11, 12)
/** In place of the bits: the client did not ask. */
export const OPERATIONS_NOT_ASKED = -2147483648
/** The same for a group: read, delete, describe, configs. */
export const GROUP_OPERATIONS = bits(3, 6, 8, 10, 11)
