/** Where a cluster's metadata is: `etcd://user:password@h1:2379,h2:2379/prefix`, `etcds://` with TLS. */
export interface MetadataUrl {
  readonly endpoints: readonly Address[]
  readonly isTls: boolean
  /** Null: etcd knows no users. */
  readonly user: { readonly name: string; readonly password: string } | null
  /** That all keys start with, without slashes around it. */
  readonly prefix: string
  /** Without the password. */
  readonly shown: string
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** What is wrong with the address of the metadata; never shows a password. */
export class InvalidMetadataUrl extends Error {
  override readonly name = 'InvalidMetadataUrl'
}

const PORT = 2379
const PORT_MAX = 65_535
const ENDPOINTS_MAX = 32
const PREFIX_CHARACTERS_MAX = 200
const EXAMPLE = 'etcd://h1:2379,h2:2379/odradek/prod'

const invalid = (why: string): never => {
  throw new InvalidMetadataUrl(`The address of the metadata ${why}; it looks like ${EXAMPLE}.`)
}

/** Apart from those of URL: that class knows one host only. @throws InvalidMetadataUrl */
export function parseMetadataUrl(text: string): MetadataUrl {
  const [, scheme, authority, path = '', query] =
    /^([a-z0-9+.-]+):\/\/([^/?]*)(\/[^?]*)?(?:\?(.*))?$/i.exec(text.trim()) ??
    invalid('is not of the form etcd://hosts/prefix')
  if (scheme !== 'etcd' && scheme !== 'etcds') invalid(`starts with ${scheme}://, not with etcd://`)
  if (query !== undefined && query !== 'tls') invalid(`ends with ?${query}, and only ?tls is known`)
  const at = authority!.lastIndexOf('@')
  const user = at === -1 ? null : parseUser(authority!.slice(0, at))
  const hosts = authority!.slice(at + 1)
  const endpoints = hosts.split(',').map(parseHost)
  if (endpoints.length > ENDPOINTS_MAX) invalid(`names more than ${ENDPOINTS_MAX} hosts`)
  const prefix = parsePrefix(path)
  const isTls = scheme === 'etcds' || query === 'tls'
  const shown = `${isTls ? 'etcds' : 'etcd'}://${user === null ? '' : `${user.name}@`}${hosts}/${prefix}`
  return { endpoints, isTls, user, prefix, shown }
}

function parseUser(text: string): MetadataUrl['user'] {
  const colon = text.indexOf(':')
  if (colon < 1) invalid('has a user without a password (user:password@)')
  try {
    const [name, password] = [text.slice(0, colon), text.slice(colon + 1)].map(decodeURIComponent)
    return { name: name!, password: password! }
  } catch {
    return invalid('has a user or password with a % that is no escape: write %25')
  }
}

function parseHost(text: string): Address {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-f:.]+(?:%\w+)?)\]|([^:[\]]+))(?::(\d+))?$/i.exec(text) ??
    invalid(text === '' ? 'lacks a host' : `has a host that is none: ${text}`)
  const number = port === undefined ? PORT : Number(port)
  if (number < 1 || number > PORT_MAX) invalid(`has a port that is none: ${text}`)
  return { host: (bracketed ?? plain)!, port: number }
}

function parsePrefix(path: string): string {
  const prefix = path.replace(/^\/+|\/+$/g, '')
  if (prefix === '') invalid('lacks the prefix under which the keys of this cluster are')
  if (!/^[\w.-]+(\/[\w.-]+)*$/.test(prefix) || prefix.length > PREFIX_CHARACTERS_MAX) {
    invalid(
      `has a prefix of other than letters, digits, ".", "_", "-" and "/", or of more than ${PREFIX_CHARACTERS_MAX}`,
    )
  }
  return prefix
}
