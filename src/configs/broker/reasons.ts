/**
 * Why a config of Kafka's does nothing here. Each takes what the config would do and makes its documentation string of it.
 */
const because = (reason: string) => (what: string) => `${what} No effect here: ${reason}.`

export const oneProcess = because('every process is broker and controller at once')
export const oneNode = because('brokers replicate without it')
export const ownMetadata = because('metadata is one file, made anew when it has grown')
export const threads = because('set odradek.partition.workers; all else runs on the main thread')
export const systemSized = because('the operating system sizes socket buffers')
export const noClasses = because('there are no Java classes to load')
export const noMetrics = because('metrics are not built in')
export const noPurgatory = because('what waits is forgotten when it is answered')
export const noQuotas = because('quotas are not built in')
export const noSasl = because('SASL is not built in, and its listeners are refused')
export const noShare = because('share groups are not built in')
export const noStreams = because('streams groups are not built in')
export const noTiers = because('there is no tiered storage')
export const noTls = because('TLS is not built in, and SSL listeners are refused')
export const noTokens = because('there are no delegation tokens')
export const noTransactions = because('transactions are not built in')
