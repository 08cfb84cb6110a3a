import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'

export const notRegistered = (id: number) =>
  new BrokerError(
    ErrorCode.BROKER_ID_NOT_REGISTERED,
    `Broker ID ${id} is not currently registered.`,
  )

export const inUse = (message: string) =>
  new BrokerError(ErrorCode.DUPLICATE_BROKER_REGISTRATION, message)
