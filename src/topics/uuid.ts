import { randomUUID } from 'node:crypto'

/** A random id in Kafka's text form: 22 characters of base64url. */
export function randomUuid(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
}
