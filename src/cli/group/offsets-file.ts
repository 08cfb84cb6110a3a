import { CliError } from '../base/failure.ts'
import type { Committed } from '../base/offsets.ts'
import { openInputs, whole } from '../topic/input.ts'

const LINE = /^"?([\w.-]+)"?\s*,\s*(\d+)\s*,\s*(\d+)$/

/**
 * Offsets as `odradek group describe GROUP --json` prints them, or as lines TOPIC,PARTITION,OFFSET, which is what
 * kafka-consumer-groups exports and takes.
 * @param file its name, or - for stdin
 */
export async function readOffsets(file: string): Promise<Committed[]> {
  const [input] = await openInputs(file === '-' ? [] : [file])
  const text = (await whole(input!.stream, input!.name)).toString().trim()
  const found = text.startsWith('[') ? fromJson(text, input!.name) : fromLines(text, input!.name)
  if (found.length === 0) throw new CliError(`${input!.name} has no offsets`)
  return found
}

function fromLines(text: string, name: string): Committed[] {
  return text.split(/\r?\n/).map((line, i) => {
    const [, topic, partition, offset] = LINE.exec(line.trim()) ?? []
    if (topic === undefined) {
      throw new CliError(`${name} line ${i + 1}: it must be TOPIC,PARTITION,OFFSET`)
    }
    return { topic, partition: Number(partition), offset: Number(offset) }
  })
}

function fromJson(text: string, name: string): Committed[] {
  const wrong = (): CliError =>
    new CliError(
      `${name}: it must be what odradek group describe GROUP --json prints for one group`,
    )
  let described: unknown
  try {
    described = JSON.parse(text)
  } catch (cause) {
    throw new CliError(`${name}: ${(cause as Error).message}`, undefined, { cause })
  }
  const groups = described as { partitions?: unknown }[]
  const partitions = groups.length === 1 ? groups[0]?.partitions : undefined
  if (!Array.isArray(partitions)) throw wrong()
  return partitions.flatMap((each: unknown) => {
    const { topic, partition, committed } = (each ?? {}) as Record<string, unknown>
    if (committed === null) return []
    const isGood = typeof topic === 'string' && isCount(partition) && isCount(committed)
    if (!isGood) throw wrong()
    return [{ topic, partition: partition as number, offset: committed as number }]
  })
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
