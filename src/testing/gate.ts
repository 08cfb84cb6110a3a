import type { ApiHandler, ApiTable, RequestContext } from '../apis/handler.ts'
import { aroundEach, held, type Result } from './layer.ts'

/** Shut, requests wait in it until it opens: what clients see of a process that stands still. */
export class Gate {
  #opened: Promise<void> | null = null
  #open: () => void = () => {}

  shut(): void {
    this.#opened ??= new Promise(resolve => {
      this.#open = resolve
    })
  }

  open(): void {
    this.#opened = null
    this.#open()
  }

  /** The same APIs, behind the gate. */
  around(apis: ApiTable): ApiTable {
    return aroundEach(apis, api => this.#around(api))
  }

  #around(handler: ApiHandler): ApiHandler {
    return {
      ...handler,
      handle: (request, context) => {
        const handle = (): Result => handler.handle(request as never, context)
        return this.#opened === null
          ? handle()
          : held(untilGone(this.#opened, context), context, handle)
      },
    }
  }
}

/** Rejects if the client goes first: then nothing is done for it. */
function untilGone(opened: Promise<void>, { gone }: RequestContext): Promise<void> {
  return new Promise((resolve, reject) => {
    if (gone.aborted) reject(gone.reason)
    gone.addEventListener('abort', () => reject(gone.reason), { once: true })
    void opened.then(resolve)
  })
}
