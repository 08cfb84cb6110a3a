/** Where a broker listens, as those who connect are told it. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** `host:port`, as it is written everywhere: an IPv6 address in brackets. */
export const addressOf = ({ host, port }: Endpoint): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`
