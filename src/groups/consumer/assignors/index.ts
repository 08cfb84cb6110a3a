import type { Assignor } from './assignor.ts'
import { range } from './range.ts'
import { uniform } from './uniform.ts'

export type { AssignedMember, AssignedTopic, Assignor } from './assignor.ts'

/** By the names that Kafka has for them. */
export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ['uniform', uniform],
  ['range', range],
])
