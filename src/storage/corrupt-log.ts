/** Damage below what was durable: nothing is cut, the partition stays offline until an operator decides. */
export class CorruptLog extends Error {
  override readonly name = 'CorruptLog'
}

export function damaged(name: string, base: number, position: number, damage: string): CorruptLog {
  return new CorruptLog(
    `${name}: segment ${base} is damaged at byte ${position}, below its durable end: ${damage}; nothing was cut`,
  )
}
