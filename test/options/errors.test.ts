import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError, toKafkaError } from '../../src/errors.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'

const errors = suite('errors')

/** A log that keeps what it is told. */
function recorder() {
  const lines: object[] = []
  return { lines, error: (fields: object) => void lines.push(fields) }
}

errors('an operating error keeps its code and its sentence, and is not logged', () => {
  const log = recorder()
  const error = new BrokerError(ErrorCode.INVALID_CONFIG, 'No such config.')
  assert.equal(toKafkaError(error, log), { errorCode: 40, errorMessage: 'No such config.' })
  assert.equal(log.lines, [])
})

errors('a bug becomes UNKNOWN_SERVER_ERROR: its text goes to the log, not to the client', () => {
  for (const bug of [new TypeError('secret /etc/path'), 'secret text', undefined, null]) {
    const log = recorder()
    const { errorCode, errorMessage } = toKafkaError(bug, log)
    assert.is(errorCode, ErrorCode.UNKNOWN_SERVER_ERROR)
    assert.not.match(errorMessage, /secret/)
    assert.equal(log.lines, [{ err: bug }])
  }
})

errors.run()
