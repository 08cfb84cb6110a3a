import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { removeSmall } from '../../src/storage/folders.ts'
import { MemoryFs } from '../lib/memory-fs.ts'

// A topic was deleted while files that retention had dropped before were being freed: the worker met one that the main thread
// removed between two calls, and the deletion failed half done.
const test = suite('a topic that is deleted while its old files are freed')

test('what the main thread frees is left to it', () => {
  const files = new MemoryFs()
  files.mkdir('/t-0.1-delete')
  for (const name of ['00000000000000000000.log.deleted', '00000000000000000005.index']) {
    files.close(files.open(`/t-0.1-delete/${name}`, 'create'))
  }
  assert.is(removeSmall(files, '/t-0.1-delete'), true, 'the folder is for the main thread')
  assert.equal(files.readdir('/t-0.1-delete'), ['00000000000000000000.log.deleted'])
})

test.run()
