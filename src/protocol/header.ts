import type { Reader } from './reader.ts'
import type { Message } from './schema.ts'
import type { Writer } from './writer.ts'

const API_VERSIONS_KEY = 18

/** What a header depends on. */
type Versioned = Pick<Message, 'apiKey' | 'isFlexible'>

export interface RequestHeader {
  apiKey: number
  apiVersion: number
  correlationId: number
  /** '' when the client sent null. */
  clientId: string
}

/**
 * Request header v1, or v2 where `isFlexible` says so. The client id keeps the old int16 form in
 * both. For an unknown api key it does not matter what `isFlexible` answers: close the connection.
 */
export function decodeRequestHeader(
  reader: Reader,
  isFlexible: (apiKey: number, apiVersion: number) => boolean,
): RequestHeader {
  const apiKey = reader.int16('apiKey')
  const apiVersion = reader.int16('apiVersion')
  const correlationId = reader.int32('correlationId')
  const length = reader.length16('clientId')
  const clientId = length < 0 ? '' : reader.text(length, 'clientId')
  if (isFlexible(apiKey, apiVersion)) reader.skipTags('requestHeader')
  return { apiKey, apiVersion, correlationId, clientId }
}

export function encodeRequestHeader(
  writer: Writer,
  request: Versioned,
  version: number,
  correlationId: number,
  clientId: string | null,
): void {
  writer.int16(request.apiKey, 'apiKey')
  writer.int16(version, 'apiVersion')
  writer.int32(correlationId, 'correlationId')
  if (clientId === null) writer.int16(-1)
  else writer.string(clientId, 'clientId')
  if (request.isFlexible(version)) writer.uvarint(0)
}

/**
 * ApiVersions keeps header v0 in every version: its client may not know yet what the broker speaks.
 */
function hasTags(response: Versioned, version: number): boolean {
  return response.apiKey !== API_VERSIONS_KEY && response.isFlexible(version)
}

export function encodeResponseHeader(
  writer: Writer,
  response: Versioned,
  version: number,
  correlationId: number,
): void {
  writer.int32(correlationId)
  if (hasTags(response, version)) writer.uvarint(0)
}

/** Skips the response header and returns its correlation id. */
export function decodeResponseHeader(reader: Reader, response: Versioned, version: number): number {
  const correlationId = reader.int32('correlationId')
  if (hasTags(response, version)) reader.skipTags('responseHeader')
  return correlationId
}
