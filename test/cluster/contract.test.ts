import { suite } from 'uvu'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { ETCD_RELEASES, Etcd, etcdProgram } from '../lib/etcd.ts'
import { SILENT } from '../lib/silent.ts'
import { addContract, type Kind } from '../metadata/contract.ts'

let places = 0

/** Each place is a prefix of its own. */
function kindOf(etcd: () => Etcd): Kind {
  return {
    isShared: true,
    runs: 40,
    make: async () => {
      const stores: EtcdMetadataStore[] = []
      const url = parseMetadataUrl(`etcd://127.0.0.1:${etcd().port}/test/${++places}`)
      return {
        connect: async () => {
          const store = await EtcdMetadataStore.open({ url, log: SILENT })
          stores.push(store)
          return store
        },
        compact: () => etcd().compact(),
        close: async () => {
          for (const store of stores) await store.close()
        },
      }
    },
  }
}

const contract = suite('contract of the metadata: etcd')

for (const release of ETCD_RELEASES.filter(one => etcdProgram(one) !== null)) {
  let etcd: Etcd
  contract(`${release} starts`, async () => {
    etcd = await Etcd.start({ release })
  })
  addContract(
    contract,
    kindOf(() => etcd),
    release,
  )
  contract(`${release} ends`, () => etcd.close())
}

contract.run()
