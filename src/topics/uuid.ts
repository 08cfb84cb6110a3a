import { randomUUID } from 'node:crypto'

/** A random id in Kafka's text form: 22 characters of base64url. */
export function randomUuid(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
}

/** A random id in Kafka's text form; never one of the reserved ones, nor one that starts with a dash (Uuid.java). */
export function newTopicId(): string {
  for (;;) {
    const id = randomUuid()
    if (!id.startsWith('-')) return id
  }
}
