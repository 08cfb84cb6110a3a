/** Set by a signal, or by the first failure: what is under way is ended, nothing new begins. */
export class Stop implements Disposable {
  isSet = false
  readonly set = (): void => {
    this.isSet = true
    // Who asks again does not want to wait for what is under way.
    this[Symbol.dispose]()
  }

  constructor() {
    process.on('SIGINT', this.set)
    process.on('SIGTERM', this.set)
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.set)
    process.off('SIGTERM', this.set)
  }
}
