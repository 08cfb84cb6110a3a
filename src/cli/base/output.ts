import { once } from 'node:events'

/** Bytes gathered for stdout before they are written, and the room for them. */
const FULL_BYTES = 64 * 1024
const CHUNK_BYTES = 2 * FULL_BYTES

const NEWLINE = 0x0a

export type Cell = string | number | null

const useColour = (stream: { isTTY?: boolean }): boolean =>
  stream.isTTY === true && (process.env.NO_COLOR ?? '') === ''

const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33 } as const

/** The text in a colour if stdout is a terminal and NO_COLOR is not set. */
export function paint(colour: keyof typeof COLOURS, text: string): string {
  return useColour(process.stdout) ? `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : text
}

/** Aligned columns: numbers to the right, null as a dash. */
export function table(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map(row => row.map(cell => (cell === null ? '-' : String(cell))))
  const widths = header.map((name, i) => Math.max(name.length, ...texts.map(t => t[i]!.length)))
  const isNumber = header.map((_, i) => rows.some(row => typeof row[i] === 'number'))
  const line = (cells: readonly string[]): string =>
    cells
      .map((text, i) => (isNumber[i] ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [paint('bold', line(header)), ...texts.map(line)].join('\n')
}

/** Prints what was found: as JSON, or as the text made of it. */
export function print(json: boolean | undefined, value: unknown, text: () => string): void {
  process.stdout.write(`${json ? JSON.stringify(value, null, 2) : text()}\n`)
}

export const plural = (count: number, noun: string): string =>
  `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** 1.5 MB: for people. */
export function bytesText(bytes: number): string {
  let unit = 0
  let rest = bytes
  for (; rest >= 1000 && unit < UNITS.length - 1; unit++) rest /= 1000
  return `${unit === 0 ? rest : rest.toFixed(1)} ${UNITS[unit]}`
}

/** Gathers small pieces for stdout, and waits when it does not keep up. */
export class Writing {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #bytes = 0

  /** Whether it is to be flushed before more is written. */
  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES
  }

  write(piece: string | Buffer): void {
    if (piece === '\n') {
      // Behind every record: a call into the system's encoder each time is a tenth of all there is to do.
      if (this.#bytes === this.#chunk.length) this.#grow(this.#bytes + 1)
      this.#chunk[this.#bytes++] = NEWLINE
      return
    }
    // UTF-8 takes at most three bytes for each of a string's units.
    const room = typeof piece === 'string' ? piece.length * 3 : piece.length
    if (this.#bytes + room > this.#chunk.length) this.#grow(this.#bytes + room)
    if (typeof piece !== 'string') this.#chunk.set(piece, this.#bytes)
    this.#bytes += typeof piece === 'string' ? this.#chunk.write(piece, this.#bytes) : room
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#chunk.length))
    this.#chunk.copy(grown, 0, 0, this.#bytes)
    this.#chunk = grown
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return
    const written = this.#chunk.subarray(0, this.#bytes)
    // The stream may hold on to what it was given.
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    this.#bytes = 0
    if (!process.stdout.write(written)) await once(process.stdout, 'drain')
  }
}
