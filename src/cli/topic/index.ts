import type { Command } from 'commander'
import { defineAlter } from './alter.ts'
import { defineCreate } from './create.ts'
import { defineDelete } from './delete.ts'
import { defineDescribe } from './describe.ts'
import { defineList } from './list.ts'

export function define(topic: Command): void {
  for (const part of [defineList, defineDescribe, defineCreate, defineAlter, defineDelete]) {
    part(topic)
  }
}
