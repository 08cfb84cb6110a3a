import type { ApiHandler, ApiTable } from '../apis/handler.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { decodeRequestHeader, type RequestHeader } from '../protocol/header.ts'
import { apiVersionsRequest } from '../protocol/messages/18-api-versions.ts'
import type { Reader } from '../protocol/reader.ts'

/** A request that Kafka answers by closing the connection. */
export class RequestRejected extends Error {
  override readonly name = 'RequestRejected'
}

export interface IncomingRequest {
  readonly handler: ApiHandler
  readonly header: RequestHeader
  readonly request: unknown
}

/**
 * Reads one frame: header, then the body by the API table. Bytes behind the body are left, as Kafka does: librdkafka
 * sends three of them when it asks for all topics.
 * @throws MalformedFrame, or RequestRejected for an API or version that is not served
 */
export function readRequest(reader: Reader, apis: ApiTable): IncomingRequest {
  const header = decodeRequestHeader(
    reader,
    (key, version) => apis[key]?.request.isFlexible(version) ?? false,
  )
  const { apiKey, apiVersion } = header
  const handler = apis[apiKey]
  if (handler === undefined) throw new RequestRejected(`a request with unknown API key ${apiKey}`)
  if (apiVersion < handler.min || apiVersion > handler.max) {
    if (apiKey === apiVersionsRequest.apiKey) return unknownApiVersions(handler, header)
    throw new RequestRejected(
      `${handler.request.name} version ${apiVersion}; versions ${handler.min} to ${handler.max} are served`,
    )
  }
  return { handler, header, request: handler.request.decode(reader, apiVersion) }
}

/** Only ApiVersions is answered in a version that is not known: in version 0, with the error (KIP-511). */
function unknownApiVersions(handler: ApiHandler, header: RequestHeader): IncomingRequest {
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
  }
}
