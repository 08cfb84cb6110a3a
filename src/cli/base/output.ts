import { once } from 'node:events'

/** Bytes gathered for stdout before they are written. */
const CHUNK_BYTES = 64 * 1024

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

/** Gathers small pieces for stdout, and waits when it does not keep up. */
export class Writing {
  #pieces: (string | Buffer)[] = []
  #bytes = 0

  /** Pieces of one call stay together. */
  async write(pieces: readonly (string | Buffer)[]): Promise<void> {
    for (const piece of pieces) {
      this.#pieces.push(piece)
      this.#bytes += piece.length
    }
    if (this.#bytes >= CHUNK_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#pieces.length === 0) return
    const bytes = Buffer.concat(this.#pieces.map(p => (typeof p === 'string' ? Buffer.from(p) : p)))
    this.#pieces = []
    this.#bytes = 0
    if (!process.stdout.write(bytes)) await once(process.stdout, 'drain')
  }
}
