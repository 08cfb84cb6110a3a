import { type OptionSources, SHIPPED } from '../../options.ts'
import type { BrokerFlags } from './broker-flags.ts'

const DEFAULTS = { ...SHIPPED, listeners: 'PLAINTEXT://127.0.0.1:9092', 'log.dirs': './data' }

/** As `start` has them: from the file, then the environment, then the command line. */
export const sourcesOf = ({ config, override, metadata }: BrokerFlags): OptionSources => ({
  defaults: DEFAULTS,
  env: process.env,
  overrides: metadata === undefined ? override : [...override, `odradek.metadata=${metadata}`],
  ...(config === undefined ? {} : { file: config }),
})
