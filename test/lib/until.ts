const LOOK_MS = 5

/** Looks often, where nothing tells when it comes about. @throws Error that says what does not, after so many ms */
export async function until(isSo: () => boolean, msMax: number): Promise<void> {
  const deadline = performance.now() + msMax
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within ${msMax} ms: ${isSo}`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}
