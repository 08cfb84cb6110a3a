import { connect, type Socket } from 'node:net'
import type { DecodedFields, EncodableFields, Fields } from '../../src/protocol/fields.ts'
import { decodeResponseHeader, encodeRequestHeader } from '../../src/protocol/header.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'

/** In a text of a request: bytes that are no UTF-8, as many as it takes itself. */
export const NO_UTF8 = '\ue000'
const STANDS_FOR = Buffer.from(NO_UTF8)
const BROKEN = Buffer.from([0xff, 0xc0, 0xaf])

/** One request over a connection of its own, with texts that no encoder writes. @returns null if the broker closed it instead */
export async function sendRaw<Q extends Fields, R extends Fields>(
  endpoint: { readonly host: string; readonly port: number },
  api: Api<Q, R>,
  version: number,
  request: EncodableFields<Q>,
  clientId = 'raw',
): Promise<DecodedFields<R> | null> {
  const writer = new Writer()
  const mark = writer.startFrame()
  encodeRequestHeader(writer, api.request, version, 1, clientId)
  api.request.encode(writer, version, request)
  writer.endFrame(mark)
  const frame = Buffer.concat(writer.chunks())
  for (let at = frame.indexOf(STANDS_FOR); at !== -1; at = frame.indexOf(STANDS_FOR, at)) {
    BROKEN.copy(frame, at)
  }
  const socket = connect(endpoint)
  socket.write(frame)
  const received = await answerFrom(socket)
  if (received === null) return null
  const reader = new Reader(received, 4)
  decodeResponseHeader(reader, api.response, version)
  return api.response.decode(reader, version)
}

/** The first frame that comes; null if the connection ends before, in whatever way. */
function answerFrom(socket: Socket): Promise<Buffer | null> {
  let received = Buffer.alloc(0)
  return new Promise(resolve => {
    socket.on('error', () => {}) // a reset is as good as an end
    socket.on('close', () => resolve(null))
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      resolve(received)
      socket.destroy()
    })
  })
}
