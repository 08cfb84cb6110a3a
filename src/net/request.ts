import type { ApiHandler, ApiTable } from '../apis/handler.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { decodeRequestHeader, type RequestHeader } from '../protocol/header.ts'
import { apiVersionsRequest } from '../protocol/messages/18-api-versions.ts'
import { Reader, TooManyElements } from '../protocol/reader.ts'
import { inPieces } from '../turns.ts'

/** Array elements that are decoded at once: a millisecond or two. */
const ELEMENTS_AT_ONCE = 10_000

/** A request that Kafka answers by closing the connection. */
export class RequestRejected extends Error {
  override readonly name = 'RequestRejected'
}

export interface IncomingRequest {
  readonly handler: ApiHandler
  readonly header: RequestHeader
  readonly request: unknown
  /** Array elements in it. */
  readonly elements: number
}

/** Whether the request of this frame waits until everything before it on the connection is answered. */
export function isInTurn(frame: Buffer, start: number, end: number, apis: ApiTable): boolean {
  return end - start >= 2 && apis[frame.readInt16BE(start)]?.sideBySide === false
}

/**
 * Reads one frame: header, then the body by the API table. Bytes behind the body are left, as Kafka does: librdkafka
 * sends three of them when it asks for all topics.
 * @returns null if it has so many elements that it takes readLongRequest
 * @throws MalformedFrame, or RequestRejected for an API or version that is not served
 */
export function readRequest(
  frame: Buffer,
  start: number,
  end: number,
  apis: ApiTable,
): IncomingRequest | null {
  const reader = new Reader(frame, start, end, ELEMENTS_AT_ONCE)
  const { handler, header } = readHeader(reader, apis)
  if (handler === null) return unknownApiVersions(header, apis)
  try {
    const request = handler.request.decode(reader, header.apiVersion)
    return { handler, header, request, elements: reader.elements }
  } catch (error) {
    if (error instanceof TooManyElements) return null
    throw error
  }
}

/**
 * Reads a frame with many elements, a piece at a time. The frame's memory must stay as it is until then.
 * @throws MalformedFrame, RequestRejected
 */
export async function readLongRequest(
  frame: Buffer,
  start: number,
  end: number,
  apis: ApiTable,
): Promise<IncomingRequest> {
  const reader = new Reader(frame, start, end)
  const { handler, header } = readHeader(reader, apis)
  if (handler === null) return unknownApiVersions(header, apis)
  const request = await inPieces(handler.request.decodeInPieces(reader, header.apiVersion))
  return { handler, header, request, elements: reader.elements }
}

/** The handler is null for ApiVersions in a version that is not known. */
function readHeader(
  reader: Reader,
  apis: ApiTable,
): { handler: ApiHandler | null; header: RequestHeader } {
  const header = decodeRequestHeader(
    reader,
    (key, version) => apis[key]?.request.isFlexible(version) ?? false,
  )
  const { apiKey, apiVersion } = header
  const handler = apis[apiKey]
  if (handler === undefined) throw new RequestRejected(`a request with unknown API key ${apiKey}`)
  if (apiVersion < handler.min || apiVersion > handler.max) {
    if (apiKey === apiVersionsRequest.apiKey) return { handler: null, header }
    throw new RequestRejected(
      `${handler.request.name} version ${apiVersion}; versions ${handler.min} to ${handler.max} are served`,
    )
  }
  return { handler, header }
}

/** Only ApiVersions is answered in a version that is not known: in version 0, with the error (KIP-511). */
function unknownApiVersions(header: RequestHeader, apis: ApiTable): IncomingRequest {
  const handler = apis[header.apiKey]!
  const { min, max } = handler
  return {
    header: { ...header, apiVersion: 0 },
    handler: {
      ...handler,
      handle: () => ({
        body: {
          errorCode: ErrorCode.UNSUPPORTED_VERSION,
          apiKeys: [{ apiKey: header.apiKey, minVersion: min, maxVersion: max }],
        } as never,
      }),
    },
    request: null,
    elements: 0,
  }
}
