import type { Command } from 'commander'
import { defineAlter } from './alter.ts'
import { define as defineConsume } from './consume.ts'
import { defineCreate } from './create.ts'
import { defineDelete } from './delete.ts'
import { defineDescribe } from './describe.ts'
import { defineList } from './list.ts'
import { define as defineProduce } from './produce.ts'
import { defineTrim } from './trim.ts'

export function define(topic: Command): void {
  defineList(topic)
  defineDescribe(topic)
  defineCreate(topic)
  defineAlter(topic)
  defineDelete(topic)
  defineTrim(topic)
  defineProduce(topic.command('produce'))
  defineConsume(topic.command('consume'))
}
