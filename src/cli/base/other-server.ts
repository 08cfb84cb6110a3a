import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Address } from './options.ts'

/** Each try: a server on this way of talking answers within a round trip. */
const TRY_MS = 1_000
/** How OpenSSL names what the other side says by TLS, and only by TLS. */
const SAID_BY_TLS = /^ERR_SSL_.*ALERT/

/** What is there, behind its address in a sentence, if it is no Kafka broker but shows what it is; else null. */
export async function otherServer({ host, port }: Address): Promise<string | null> {
  const name = isIP(host) === 0 ? { servername: host } : {}
  const tls = connectTls({ host, port, rejectUnauthorized: false, ...name })
  if (await shows(tls, 'secureConnect')) {
    return 'speaks TLS, which odradek does not: it needs a PLAINTEXT listener'
  }
  const plain = connect({ host, port })
  plain.write('GET / HTTP/1.0\r\n\r\n')
  if (await shows(plain, 'data')) return 'is an HTTP server, no Kafka broker'
  return null
}

/** Whether it is what it was spoken to as. A broker closes the connection instead. */
function shows(socket: Socket, event: 'secureConnect' | 'data'): Promise<boolean> {
  return new Promise(resolve => {
    const end = (isSo: boolean): void => {
      resolve(isSo)
      socket.destroy()
    }
    socket.setTimeout(TRY_MS, () => end(false))
    socket.once(event, (chunk?: Buffer) => {
      end(event === 'secureConnect' || chunk?.subarray(0, 5).toString() === 'HTTP/')
    })
    // Stays, for what comes after it is destroyed.
    socket.on('error', (error: NodeJS.ErrnoException) => end(SAID_BY_TLS.test(error.code ?? '')))
    socket.once('close', () => end(false))
  })
}
