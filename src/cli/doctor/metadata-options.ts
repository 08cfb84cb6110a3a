import { inCluster } from '../../cluster/join.ts'
import { brokerValue } from '../../configs/values.ts'
import { InvalidOption } from '../../errors.ts'
import { InvalidMetadataUrl, type MetadataUrl, parseMetadataUrl } from '../../metadata/url.ts'
import { brokerConfigView, resolveOptions } from '../../options.ts'
import type { BrokerFlags } from '../base/broker-flags.ts'
import { sourcesOf } from '../base/broker-options.ts'
import { type Finding, fail } from '../cluster/health.ts'

/** Where the metadata of the cluster is, as a start would have it; null: nowhere. A finding: a start would be refused. */
export function metadataOf(
  flags: BrokerFlags,
): { readonly url: MetadataUrl; readonly sessionMs: number } | Finding | null {
  try {
    const options = resolveOptions(inCluster(sourcesOf(flags)))
    const { metadata } = options.settings
    if (metadata === null) return null
    const sessionMs = brokerValue('broker.session.timeout.ms', brokerConfigView(options))
    return { url: parseMetadataUrl(metadata), sessionMs }
  } catch (error) {
    const isGiven = error instanceof InvalidOption || error instanceof InvalidMetadataUrl
    if (!isGiven) throw error
    return fail('options', error.message, 'mend it: a broker that is started with it is refused')
  }
}
