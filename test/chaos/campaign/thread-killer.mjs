// Loaded into a replica from outside, by NODE_OPTIONS=--import: on SIGUSR2 it ends one of the threads, as if that had
// run out of memory. The relay itself knows nothing of it.
import { syncBuiltinESMExports } from 'node:module'
import workerThreads from 'node:worker_threads'

if (workerThreads.isMainThread) {
  const { Worker } = workerThreads
  const threads = new Set()
  workerThreads.Worker = class extends Worker {
    constructor(...given) {
      super(...given)
      threads.add(this)
      this.once('exit', () => threads.delete(this))
    }
  }
  syncBuiltinESMExports()
  process.on('SIGUSR2', () => {
    const [thread] = threads
    thread?.terminate()
  })
}
