import * as batch from '../../src/protocol/record-batch.ts'
import type { LogView } from '../../src/storage/commands.ts'
import { idOf } from './batches.ts'
import type { Model } from './crash-model.ts'
import type { MemoryFs } from './memory-fs.ts'
import { readLog, type Stored } from './store-driver.ts'

/** A broken promise of the storage engine. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

export function promise(holds: boolean, what: string): void {
  if (!holds) throw new Broken(what)
}

/** All but what the leader writes in: offset and epoch. */
function isSame(stored: Buffer, submitted: Buffer): boolean {
  return stored.subarray(16).equals(submitted.subarray(16))
}

/** What was promised of a partition is there after a start, and what is there is promised from now on. */
export function checkLog(files: MemoryFs, model: Model, view: LogView): void {
  const { name } = model.open
  promise(view.offline === null, `${name} is offline: ${view.offline}`)
  const found = readLog(files, name, view)
  const start = view.logStartOffset
  promise(start >= model.start, `${name} starts at ${start}, below ${model.start}`)
  promise(start <= model.startMax, `${name} starts at ${start}, above ${model.startMax}`)
  const byOffset = new Map(found.map(b => [b.baseOffset, b.bytes]))
  let least = 0
  for (const { offset, bytes, id, isPromised } of model.kept) {
    if (!isPromised) continue
    least = offset + batch.lastOffsetDelta(bytes) + 1
    if (least <= start) continue
    const there = byOffset.get(offset)
    promise(there !== undefined, `${name}: acknowledged batch ${id} at ${offset} is lost`)
    promise(isSame(there!, bytes), `${name}: acknowledged batch ${id} at ${offset} is changed`)
  }
  promise(view.nextOffset >= least, `${name} ends at ${view.nextOffset}, before ${least}`)
  checkOrder(model, found, view)
  adopt(model, found, view)
}

/** What is there was submitted, is there once, in order and without gaps. */
function checkOrder(model: Model, found: readonly Stored[], view: LogView): void {
  const { name } = model.open
  const ids = found.map(b => idOf(b.bytes))
  promise(new Set(ids).size === ids.length, `${name}: a batch is there twice: ${ids}`)
  const keptIds = new Set(model.kept.map(k => k.id))
  let last = -1
  const places = new Map([...model.kept.map(k => k.id), ...model.maybe].map((id, i) => [id, i]))
  let expected = found[0]?.baseOffset ?? view.nextOffset
  for (const { baseOffset, bytes } of found) {
    const id = idOf(bytes)
    const submitted = model.submitted.get(id)
    promise(submitted !== undefined, `${name}: batch ${id} was never submitted`)
    promise(isSame(bytes, submitted!), `${name}: batch ${id} is not as it was submitted`)
    promise(baseOffset === expected, `${name}: batch ${id} at ${baseOffset}, not ${expected}`)
    const place = places.get(id)
    promise(place !== undefined, `${name}: batch ${id} was refused or removed`)
    promise(place! > last, `${name}: batch ${id} is out of order (${keptIds.has(id)})`)
    last = place!
    expected = baseOffset + batch.lastOffsetDelta(bytes) + 1
  }
  promise(expected === view.nextOffset, `${name} ends at ${expected}, not ${view.nextOffset}`)
}

/** What is served now must stay. */
function adopt(model: Model, found: readonly Stored[], view: LogView): void {
  const promised = new Set(model.kept.filter(k => k.isPromised).map(k => k.id))
  model.kept = found.map(({ baseOffset, bytes }) => ({
    isPromised: model.isDurable || promised.has(idOf(bytes)),
    id: idOf(bytes),
    offset: baseOffset,
    bytes: model.submitted.get(idOf(bytes))!,
    producer: batch.producerId(bytes),
    sequence: batch.baseSequence(bytes),
  }))
  model.maybe = []
  model.sequences.clear()
  for (const kept of model.kept) model.noteSequence(kept)
  for (const [producer, next] of model.acknowledged) model.sequences.set(producer, next)
  if (model.isLoose) model.firstProducer += 2
  model.isLoose = !model.isDurable
  model.start = view.logStartOffset
  model.startMax = view.logStartOffset
  model.end = view.nextOffset
}
