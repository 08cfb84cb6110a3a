import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Wire } from '../apis/wire.ts'
import { addressOf, brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek and the servers that it talks to')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

test('-b and --timeout may come before the command, as with other tools', async () => {
  await wire.createTopic('seen')
  const nowhere = { ODRADEK_BOOTSTRAP: '127.0.0.1:1' }
  const address = addressOf(wire)
  for (const front of [['-b', address], [`-b${address}`], [`--bootstrap=${address}`]]) {
    const args = [...front, '--timeout', '5s', 'topic', 'list', '--json']
    assert.match(await cli.ok(args, { env: nowhere }), /"seen"/)
  }
  await cli.fails(2, /unknown option '-b'/, ['-b', address, 'start'])
  await cli.fails(2, /'x:y:z' is invalid. It must be HOST:PORT/, ['-b', 'x:y:z', 'topic', 'list'])
})

/** What the program says of a server of another kind, which is to be said at once. */
async function saysOf(server: Server, line: RegExp): Promise<void> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as { port: number }
  const start = performance.now()
  await cli.fails(3, line, ['-b', `127.0.0.1:${port}`, 'topic', 'list', '--timeout', '15s'])
  assert.ok(performance.now() - start < 10_000, 'long before the timeout')
  server.close()
}

test('an HTTP server is named, one that answers what it does not know and one that waits for a line', async () => {
  const line = /^odradek: 127\.0\.0\.1:\d+ is an HTTP server, no Kafka broker\n$/
  const bad = 'HTTP/1.1 400 Bad Request\r\n\r\n'
  await saysOf(
    createServer(socket => socket.on('error', () => {}).end(bad)),
    line,
  )
  const answerLines = (socket: Socket): void => {
    socket.on('error', () => {})
    socket.on('data', chunk => {
      if (chunk.includes('\n')) socket.end(bad)
    })
  }
  await saysOf(createServer(answerLines), line)
})

test('a TLS listener is named', async () => {
  const server = createTlsServer({})
  server.on('tlsClientError', () => {})
  await saysOf(server, /^odradek: 127\.0\.0\.1:\d+ speaks TLS, which odradek does not/)
})

test.run()
