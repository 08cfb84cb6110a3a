/** Those who wait until something has changed, and look again then. */
export class Wakeups {
  #waiting: (() => void)[] = []

  /** Something has changed. */
  wake(): void {
    for (const resume of this.#waiting.splice(0)) resume()
  }

  /** Resolves at the next change, or after so many ms. */
  next(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
