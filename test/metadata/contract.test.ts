import { suite } from 'uvu'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import { MemoryMetadata } from '../../src/metadata/memory.ts'
import { addContract } from './contract.ts'
import { DIR, TestFiles } from './test-files.ts'

const local = suite('contract of the metadata: one node')

addContract(local, {
  isShared: false,
  runs: 200,
  make: async () => {
    const store = new LocalMetadataStore(new TestFiles(), DIR)
    return { connect: async () => store, compact: null, close: () => store.close() }
  },
})

local.run()

const memory = suite('contract of the metadata: in memory')

addContract(memory, {
  isShared: true,
  runs: 200,
  make: async () => {
    const metadata = new MemoryMetadata()
    const stores: { close(): Promise<void> }[] = []
    return {
      connect: async () => {
        const store = metadata.connect()
        stores.push(store)
        return store
      },
      compact: async () => metadata.compact(),
      close: async () => {
        for (const store of stores) await store.close()
      },
    }
  },
})

memory.run()
