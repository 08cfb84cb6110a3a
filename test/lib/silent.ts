import type { Logger } from '../../src/logger.ts'

export const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
