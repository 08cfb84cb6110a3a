import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/** One spelling of each address: IPv6 as the system writes it, and IPv4 as such also where it comes in through IPv6. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  return isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address
}

/** Whether somebody may connect: nobody's share may be 0 unless overrides give some addresses more. */
export const letsSomebodyIn = (perIpMax: number, overrides: string): boolean =>
  perIpMax > 0 || overrides !== ''

/** `10.0.0.1:100,::1:5` as a map of plain addresses; undefined when it is no such list. */
export function parseIpOverrides(text: string): ReadonlyMap<string, number> | undefined {
  const overrides = new Map<string, number>()
  for (const entry of text.trim() === '' ? [] : text.split(',')) {
    const colon = entry.lastIndexOf(':')
    const [address, count] = [entry.slice(0, colon).trim(), entry.slice(colon + 1).trim()]
    if (!isIPv4(address) && !isIPv6(address)) return undefined
    if (!/^\d{1,9}$/.test(count)) return undefined
    overrides.set(plainAddress(address), Number(count))
  }
  return overrides
}
