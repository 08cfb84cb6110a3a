import { groupBy } from '../group-by.ts'
import type { RoleChange } from '../storage/commands.ts'
import type { WorkerLink } from '../topics/worker-link.ts'
import type { HostedReplica } from './hosted-replica.ts'

interface Asked extends RoleChange {
  readonly leads: boolean
  readonly replica: HostedReplica
}

/**
 * Role changes of one turn of the event loop go to each worker in one command: a broker that dies brings thousands. Of a
 * replica only the last counts: one that follows and leads in one turn would else be told so in the order of the commands.
 */
export class RoleChanges {
  readonly #log: { error(fields: object, message: string): void }
  readonly #onTaken: (replica: HostedReplica) => void
  #asked = new Map<HostedReplica, Asked>()
  #isScheduled = false

  /** @param onTaken the worker has taken the role over, and the machine knows */
  constructor(
    log: { error(fields: object, message: string): void },
    onTaken: (replica: HostedReplica) => void,
  ) {
    this.#log = log
    this.#onTaken = onTaken
  }

  ask(replica: HostedReplica, leads: boolean, epoch: number): void {
    const { handle } = replica.partition
    this.#asked.set(replica, { handle, leads, epoch, highWatermark: replica.machine.hw, replica })
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const asked = [...this.#asked.values()]
      this.#asked.clear()
      for (const leads of [true, false]) {
        this.#send(
          leads ? 'lead' : 'follow',
          asked.filter(one => one.leads === leads),
        )
      }
    })
  }

  #send(command: 'lead' | 'follow', all: readonly Asked[]): void {
    for (const [worker, some] of groupBy(all, ({ replica }) => replica.partition.worker)) {
      this.#run(worker, command, some).catch(err => {
        if (!worker.isLost) this.#log.error({ err }, `${command} failed`)
      })
    }
  }

  async #run(worker: WorkerLink, command: 'lead' | 'follow', asked: readonly Asked[]) {
    const items = asked.map(({ handle, epoch, highWatermark }) => ({
      handle,
      epoch,
      highWatermark,
    }))
    const { views } = await worker.command(command, { items })
    const byHandle = new Map(views.map(view => [view.handle, view]))
    for (const { replica, epoch, handle } of asked) {
      const view = byHandle.get(handle)
      if (view === undefined || view.offline !== null || replica.isGone) continue
      replica.tell((machine, now) => machine.opened(epoch, replica.factsOf(view), now))
      this.#onTaken(replica)
    }
  }
}
