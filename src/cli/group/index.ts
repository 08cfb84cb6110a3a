import type { Command } from 'commander'
import { defineDelete } from './delete.ts'
import { defineDescribe } from './describe.ts'
import { defineList } from './list.ts'
import { defineSeek } from './seek.ts'

export function define(group: Command): void {
  defineList(group)
  defineDescribe(group)
  defineSeek(group)
  defineDelete(group)
}
