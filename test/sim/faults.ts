import { isRefusal, nextState } from '../../src/replication/next-state.ts'
import { fromEntry } from '../../src/replication/partition-state.ts'
import type { SimNode, Surroundings } from './node.ts'

export interface Plan {
  readonly minIsr: number
  readonly durable: boolean
  /** Somebody may be elected uncleanly. */
  readonly mayBeUnclean: boolean
}

/** One thing that goes wrong, when, and for how long: all that is chosen by chance is chosen when the seed is read. */
export interface Fault {
  readonly at: number
  readonly name: string
  readonly node: number
  readonly other: number
  readonly ms: number
  /** For what else has to be chosen: 0 <= x < 1. */
  readonly dice: number
}

type Act = (fault: Fault, node: SimNode, around: Surroundings, keys: readonly string[]) => void

const later = (around: Surroundings, ms: number, run: () => void): void =>
  around.world.after(ms, run)

const cut =
  (there: boolean, back: boolean): Act =>
  ({ other, ms }, { id }, { network, world }) => {
    if (there) network.cut(id, other)
    if (back) network.cut(other, id)
    world.after(ms, () => {
      if (there) network.mend(id, other)
      if (back) network.mend(other, id)
    })
  }

const fastFence = (node: SimNode, around: Surroundings): void =>
  later(around, 250 + around.world.random.below(100), () => {
    if (node.isUp) return
    for (const { id, process } of around.nodes) {
      if (process === null || around.network.isCut(id, node.id)) continue
      process.deliver(() => process.controller.refused(node.id, process.now))
    }
  })

function die(node: SimNode, ms: number, isPowerCut: boolean, around: Surroundings): void {
  node.crash(isPowerCut)
  // With its host, nobody refuses connections.
  if (!isPowerCut) fastFence(node, around)
  later(around, ms, () => node.start())
}

const ACTS: Readonly<Record<string, Act>> = {
  kill: ({ ms }, node, around) => die(node, ms, false, around),
  'quick kill': ({ ms }, node, around) => die(node, ms / 20, false, around),
  'power cut': ({ ms }, node, around) => die(node, ms, true, around),
  'all lose power': ({ ms, dice }, _, around) => {
    for (const node of around.nodes) die(node, ms * (1 + dice * node.id * 0.3), true, around)
  },
  pause: ({ ms, dice }, { process }) => process?.pause(ms * (dice < 0.3 ? 2 : 0.5), false),
  'pause amid effects': ({ ms, dice }, { process }) => {
    if (process === null) return
    process.pauseAtEffect = 1 + Math.floor(dice * 40)
    process.pauseMs = ms
  },
  suspend: ({ ms }, { process }) => process?.pause(ms, true),
  'cut off': cut(true, true),
  'cut one way': cut(true, false),
  'cut the other way': cut(false, true),
  isolate: ({ ms }, { id }, { network, nodes, world }) => {
    const others = [...nodes.filter(n => n.id !== id).map(n => n.id), 'e']
    for (const other of others) {
      network.cut(id, other)
      network.cut(other, id)
    }
    world.after(ms, () => {
      for (const other of others) {
        network.mend(id, other)
        network.mend(other, id)
      }
    })
  },
  'cut off from etcd': ({ ms, dice }, { id }, { network, world }) => {
    if (dice < 0.8) network.cut(id, 'e')
    if (dice > 0.2) network.cut('e', id)
    world.after(ms, () => {
      network.mend(id, 'e')
      network.mend('e', id)
    })
  },
  'clients cut off': ({ ms }, { id }, { network, world }) => {
    network.cut('c', id)
    world.after(ms, () => network.mend('c', id))
  },
  'etcd away': ({ ms, dice }, _, { etcd, world }) => {
    etcd.isAway = true
    world.after(ms, () => {
      etcd.isAway = false
      if (dice < 0.5) etcd.prolong()
    })
  },
  'lease ends early': ({ dice }, _, { etcd }) => {
    const { leases } = etcd
    if (leases.length > 0) etcd.revoke(leases[Math.floor(dice * leases.length)]!)
  },
  'watch cut': ({ dice }, { process }) => process?.cutWatch(dice < 0.5),
  'slow disk': ({ ms }, node, around) => {
    node.flushMsMax = ms / 4
    later(around, ms * 2, () => {
      node.flushMsMax = 2
    })
  },
  'full disk': ({ ms, dice }, node, around) => {
    const set = (full: boolean): void => {
      node.process?.deliver(() => node.process!.session.change({ full }, node.process!.now))
    }
    node.isFull = true
    // It is told only when that lasts.
    if (dice < 0.7) later(around, ms / 3, () => set(true))
    later(around, ms, () => {
      node.isFull = false
      set(false)
    })
  },
  'restart in order': ({ ms }, node, around) => {
    const { process } = node
    process?.drain(() => {
      if (node.process !== process) return
      node.stopped()
      later(around, ms / 4, () => node.start())
    })
  },
  reassign: ({ dice }, { process }, { nodes }, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const state = process?.image.partitionAt(key)
    if (state === undefined || state === null) return
    const from = Math.floor(dice * 97) % nodes.length
    const target = nodes.map((_, i) => nodes[(i + from) % nodes.length]!.id)
    const count = Math.max(2, Math.min(nodes.length, 2 + (Math.floor(dice * 31) % 2)))
    process!.deliver(() => process!.propose(key, { reassign: target.slice(0, count) }))
  },
  'reassign back': ({ dice }, { process }, _, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    process?.deliver(() => process.propose(key, { reassign: null }))
  },
  'move leader': ({ dice, other }, { process }, _, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    process?.deliver(() => process.propose(key, { leader: other }))
  },
  'change min': ({ dice }, { process }, _, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    process?.deliver(() =>
      process.propose(key, { min: dice * 10 - Math.floor(dice * 10) < 0.5 ? 2 : 3 }),
    )
  },
  'new disk': ({ ms }, node, around) => {
    node.crash(true)
    node.replaceDisk()
    around.checks.hasLostCopies = true
    later(around, ms, () => node.start())
  },
  damage: ({ dice }, node, around, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const { process } = node
    if (process === null || !node.disk.logs.has(key)) return
    node.damaged.add(key)
    around.checks.hasLostCopies = true
    process.deliver(() => process.replicas.get(key)?.damaged('checksum', process.now))
    around.world.note('damage', node.id, key)
  },
  'delete records': ({ dice }, _, { nodes }, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const part = dice < 0.4 ? 1 : dice
    for (const { process } of nodes) process?.deliver(() => process.deleteRecords(key, part))
  },
  'config comes and goes': ({ ms, dice }, _, { etcd, world }) => {
    const key = `configs/${Math.floor(dice * 100)}`
    etcd.transact([], [{ key, value: {} }])
    world.after(ms, () => etcd.transact([], [{ key, value: null }]))
  },
  'suspected wrongly': ({ node: id }, _, { nodes }) => {
    for (const { process } of nodes) {
      if (process?.node.id === id) continue
      process?.deliver(() => process.controller.refused(id, process.now))
    }
  },
  /** Each is cut off from all others, and they are let back in one by one. */
  swizzle: ({ ms, dice }, _, { nodes, network, world }) => {
    nodes.forEach(({ id }, i) => {
      world.after((ms * i) / 3, () => {
        for (const other of nodes) {
          network.cut(id, other.id)
          network.cut(other.id, id)
        }
      })
      const turn = (i + 1 + Math.floor(dice * nodes.length)) % nodes.length
      world.after(ms * (1 + turn / 3), () => {
        for (const other of nodes) {
          network.mend(id, other.id)
          network.mend(other.id, id)
        }
      })
    })
  },
  /**
   * A fetch is under way while leaders come and go: what its sender had has been cut since, and the leader that it reaches
   * has it still.
   */
  'late words': ({ ms, dice }, _, { nodes, network, world, etcd }, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const { leader, isr } = fromEntry(etcd.get(key)!)
    const [speaker, other] = isr.filter(id => id !== leader)
    if (leader === -1 || speaker === undefined || other === undefined) return
    const move = (to: number): void => {
      const { process } = nodes.find(({ id }) => id === to)!
      process?.deliver(() => process.propose(key, { leader: to }))
    }
    network.cut(leader, other)
    network.cut(other, leader)
    world.after(150 + dice * 200, () => network.cut(speaker, leader))
    world.after(500, () => move(other))
    world.after(700 + dice * 100, () => move(leader))
    world.after(900, () => {
      network.mend(leader, other)
      network.mend(other, leader)
    })
    world.after(900 + ms / 10, () => network.mend(speaker, leader))
  },
  /** Fetches of an old epoch reach a leader that does not know of its successor, after somebody has asked whether it leads. */
  'old words': ({ ms, dice }, _, { nodes, network, world, etcd }, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const { leader, isr } = fromEntry(etcd.get(key)!)
    const others = isr.filter(id => id !== leader)
    if (leader === -1 || others.length === 0) return
    for (const from of [...others, 'e']) network.cut(from, leader)
    world.after(600, () => {
      const { process } = nodes.find(({ id }) => id === others[0])!
      process?.deliver(() => process.propose(key, { leader: others[0]! }))
    })
    world.after(1_000 + ms / 4, () => {
      for (const from of others) network.mend(from, leader)
    })
    world.after(2_000 + ms / 4, () => network.mend('e', leader))
  },
  /** A replica joins the ISR by a request that is late, and does not follow any more when it comes. */
  'late growth': ({ dice }, _, { nodes, network, world, etcd, settings }, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const { leader, isr } = fromEntry(etcd.get(key)!)
    const id = isr.find(member => member !== leader)
    if (leader === -1 || id === undefined || isr.length < 3 || nodes.length === 0) return
    const both = (act: 'cut' | 'mend'): void => {
      network[act](leader, id)
      network[act](id, leader)
    }
    const out = settings.lagTimeMs + 1_000
    both('cut')
    world.after(out, () => {
      network.cut(leader, 'e')
      both('mend')
    })
    world.after(out + 300 + dice * 300, () => both('cut'))
    world.after(out + 800 + settings.lagTimeMs, () => network.mend(leader, 'e'))
    world.after(out + 2_000 + settings.lagTimeMs, () => both('mend'))
  },
  /** A fetch is under way while its sender gets another disk. */
  'late words of a lost disk': ({ ms, dice }, _, around, keys) => {
    const { network, world, etcd, nodes } = around
    const key = keys[Math.floor(dice * keys.length)]!
    const { leader, isr } = fromEntry(etcd.get(key)!)
    const speaker = nodes.find(({ id }) => id !== leader && isr.includes(id))
    if (leader === -1 || speaker === undefined || isr.length < 3) return
    for (const { id } of nodes) network.cut('c', id)
    world.after(100, () => network.cut(speaker.id, leader))
    world.after(1_000, () => {
      speaker.crash(true)
      speaker.replaceDisk()
      around.checks.hasLostCopies = true
    })
    world.after(5_000, () => speaker.start())
    world.after(6_000 + ms / 10, () => {
      network.mend(speaker.id, leader)
      for (const { id } of nodes) network.mend('c', id)
    })
  },
  unclean: ({ dice }, { process }, { checks }, keys) => {
    const key = keys[Math.floor(dice * keys.length)]!
    const state = process?.image.partitionAt(key)
    if (process === null || state === undefined || state === null) return
    const next = nextState(state, { leader: 'unclean' }, process.image.view(key))
    if (isRefusal(next)) return
    checks.isForgiven = true
    process.deliver(() => process.propose(key, { leader: 'unclean' }))
  },
}

const ORDINARY = [
  'kill',
  'kill',
  'quick kill',
  'power cut',
  'all lose power',
  'pause',
  'pause',
  'pause amid effects',
  'pause amid effects',
  'suspend',
  'cut off',
  'cut one way',
  'cut the other way',
  'isolate',
  'cut off from etcd',
  'cut off from etcd',
  'clients cut off',
  'etcd away',
  'lease ends early',
  'watch cut',
  'watch cut',
  'slow disk',
  'slow disk',
  'full disk',
  'restart in order',
  'reassign',
  'reassign back',
  'move leader',
  'move leader',
  'change min',
  'config comes and goes',
  'suspected wrongly',
  'swizzle',
  'late words',
  'old words',
  'late growth',
  'late growth',
  'delete records',
  'delete records',
]

/** Leaders change faster than logs come together. */
const RESTLESS = [
  'quick kill',
  'quick kill',
  'move leader',
  'move leader',
  'move leader',
  'cut off',
  'cut one way',
  'pause',
  'pause amid effects',
  'suspected wrongly',
  'all lose power',
  'late words',
  'late words',
]

/** What goes wrong between two times. */
export function chooseFaults(around: Surroundings, plan: Plan, from: number, to: number): Fault[] {
  const { world, nodes } = around
  const { random } = world
  // Of things that may cost a copy, one: two could cost all that is committed, and rightly.
  let copies = plan.minIsr >= 2 && plan.durable && random.chance(0.3) ? 1 : 0
  const frail = random.pick(nodes).id
  const count = 1 + random.below(random.chance(0.4) ? 25 : 9)
  const isRestless = random.chance(0.2)
  const faults: Fault[] = []
  for (let i = 0; i < count; i++) {
    let name = random.pick(isRestless ? RESTLESS : ORDINARY)
    let node = random.pick(nodes).id
    if (copies > 0) {
      copies--
      name = random.pick(['new disk', 'damage', 'late words of a lost disk'])
    } else if (plan.mayBeUnclean && random.chance(0.2)) name = 'unclean'
    // Without flushes, what two lose at once may be lost.
    if (!plan.durable && name === 'all lose power') name = 'power cut'
    if (!plan.durable && name === 'power cut') node = frail
    const others = nodes.filter(({ id }) => id !== node)
    faults.push({
      at: world.between(from, to),
      name,
      node,
      other: random.pick(others).id,
      ms: random.chance(0.7) ? world.between(100, 3_000) : world.between(3_000, 12_000),
      dice: random.next(),
    })
  }
  return faults.sort((a, b) => a.at - b.at)
}

export function schedule(
  faults: readonly Fault[],
  around: Surroundings,
  keys: readonly string[],
): void {
  const { world, nodes } = around
  for (const fault of faults) {
    world.after(fault.at - world.now, () => {
      world.note('fault', fault.name, fault.node, fault.ms | 0)
      ACTS[fault.name]!(fault, nodes.find(({ id }) => id === fault.node)!, around, keys)
    })
  }
}
