import { int, list, string } from '../definition.ts'
import { oneProcess } from './reasons.ts'

/** Who a broker is. */
export const identity = {
  'node.id': int(1, { min: 0 }, 'Number of this broker, unique in its cluster.'),
  'broker.id': int(-1, { min: -1 }, 'Older name of node.id; -1 leaves it to node.id.'),
  'broker.rack': string(null, 'Rack of this broker, as Metadata shows it to clients.'),
  'process.roles': list(
    'broker,controller',
    oneProcess('Whether this is a broker, a controller, or both.'),
  ),
  'controller.listener.names': list(
    '',
    'Listeners named here are left out: there is no controller connection to listen for.',
  ),
  'controller.quorum.voters': list('', oneProcess('Controllers that vote, with their addresses.')),
  'controller.quorum.bootstrap.servers': list(
    '',
    oneProcess('Addresses at which the controllers are looked for.'),
  ),
  'odradek.cluster.id': string(
    null,
    'Cluster id given to a new data directory; unset: one is made up. It must match that of an existing directory.',
    {
      allowed: '1 to 64 letters, digits, - or _',
      check: id => /^[\w-]{1,64}$/.test(id),
    },
  ),
}
