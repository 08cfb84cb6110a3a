import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { updateFeaturesApi } from '../../src/protocol/messages/57-update-features.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const ELR = 'eligible.leader.replicas.version'
const [UPGRADE, SAFE, UNSAFE] = [1, 2, 3]

const test = suite('UpdateFeatures')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

const update = (feature: string, maxVersionLevel: number, upgradeType = UPGRADE) => ({
  feature,
  maxVersionLevel,
  upgradeType,
})

test('the level that there is can be confirmed, in each version', async () => {
  for (const version of versionsOf(updateFeaturesApi)) {
    const featureUpdates = version === 0 ? [{ feature: ELR, maxVersionLevel: 1 }] : [update(ELR, 1)]
    const answer = await wire.send(updateFeaturesApi, version, { featureUpdates })
    expectError(answer, 'NONE')
    const result = { feature: ELR, errorCode: 0, errorMessage: null }
    assert.equal(answer.results, version < 2 ? [result] : [])
  }
})

test('other levels and features are refused, whatever else is asked for with them', async () => {
  const refused = [
    update(ELR, 2),
    update(ELR, 0, SAFE),
    update(ELR, 0, UNSAFE),
    update(ELR, -1, SAFE),
    update(ELR, 1, 0),
    update(ELR, 1, 4),
    update('metadata.version', 29),
    update('toString', 1),
  ]
  for (const one of refused) {
    for (const version of [1, 2]) {
      const featureUpdates = [update('x', 0, SAFE), one].slice(one.feature === ELR ? 1 : 0)
      const answer = await wire.send(updateFeaturesApi, version, { featureUpdates })
      expectError(answer, 'INVALID_UPDATE_VERSION')
      assert.match(answer.errorMessage ?? '', /^Invalid update version -?\d+ for feature /)
      assert.equal(answer.results, [])
    }
  }
})

test('the oldest version says by a flag that it wants less', async () => {
  for (const allowDowngrade of [true, false]) {
    const featureUpdates = [{ feature: ELR, maxVersionLevel: 0, allowDowngrade }]
    expectError(await wire.send(updateFeaturesApi, 0, { featureUpdates }), 'INVALID_UPDATE_VERSION')
  }
})

test.run()
