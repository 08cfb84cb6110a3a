import { readdirSync } from 'node:fs'
import { Message } from '../../src/protocol/schema.ts'

const folder = new URL('../../src/protocol/messages/', import.meta.url)

/** Every message of src/protocol/messages, found by reading the folder so that none is forgotten. */
export async function allMessages(): Promise<Message[]> {
  const found: Message[] = []
  for (const file of readdirSync(folder).sort()) {
    const exported: Record<string, unknown> = await import(new URL(file, folder).href)
    found.push(...Object.values(exported).filter(value => value instanceof Message))
  }
  return found
}

export function versionsOf(message: Message): number[] {
  const { min, max } = message.versions
  return Array.from({ length: max - min + 1 }, (_, i) => min + i)
}
