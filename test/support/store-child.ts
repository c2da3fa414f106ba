/** A program that opens a run and appends cases until it is told to stop: `node store-child.js <root> [hold|fill]`. */
import process from 'node:process'
import { WhicheditError } from '../../src/errors.ts'
import { RunStore } from '../../src/evidence/store.ts'
import { makeCase, makeRunInfo } from './records.ts'

// The limit on file sizes then fails a write, as a full disk does; otherwise its signal would end the program.
process.on('SIGXFSZ', () => {})

const [, , root = '', mode] = process.argv
try {
  const store = await RunStore.open(root, makeRunInfo(), { owner: { pid: process.pid, isAlive } })
  process.stdout.write('open\n')
  try {
    if (mode === 'hold') await new Promise((resolve) => process.stdin.once('data', resolve))
    for (let index = 0; mode === 'fill'; index++) await store.append(makeCase('stub', `f${index}`))
  } finally {
    await store.close()
  }
} catch (error) {
  const isKnown = error instanceof WhicheditError
  process.stdout.write(`${isKnown ? error.code : String(error)}\n`)
  process.exitCode = isKnown ? error.exit : 99
}
process.stdin.destroy()

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
