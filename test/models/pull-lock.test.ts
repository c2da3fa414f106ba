import { existsSync, mkdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { whileAlone } from '../../src/models/pull-lock.ts'
import { temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const lockOf = (hubCache: string) => join(hubCache, '.locks', 'models--a--b', 'pull.lock')

test('only one is at work at a time', async () => {
  const places = { hubCache: temporaryFolder() }
  const log: string[] = []
  const work = (name: string) =>
    whileAlone('a/b', places, testContext(), async () => {
      log.push(`${name} begins`)
      await setTimeout(20)
      log.push(`${name} ends`)
      return name
    })
  expect((await Promise.all(['x', 'y', 'z'].map(work))).sort()).toEqual(['x', 'y', 'z'])
  const names = log.filter((_, i) => i % 2 === 0).map((line) => line[0])
  expect(log).toEqual(names.flatMap((name) => [`${name} begins`, `${name} ends`]))
  expect(existsSync(lockOf(places.hubCache))).toBe(false)
})

test('whoever fails makes way', async () => {
  const places = { hubCache: temporaryFolder() }
  await expect(whileAlone('a/b', places, testContext(), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await whileAlone('a/b', places, testContext(), () => Promise.resolve(7))).toBe(7)
})

test('another repository is no reason to wait', async () => {
  const places = { hubCache: temporaryFolder() }
  const inner = () => whileAlone('c/d', places, testContext(), () => Promise.resolve(7))
  expect(await whileAlone('a/b', places, testContext(), inner)).toBe(7)
})

test('what a killed process held is taken over', async () => {
  const places = { hubCache: temporaryFolder() }
  mkdirSync(lockOf(places.hubCache), { recursive: true })
  utimesSync(lockOf(places.hubCache), 0, 0)
  expect(await whileAlone('a/b', places, testContext(), () => Promise.resolve(7))).toBe(7)
})

test('waiting is told, and ends when the user stops it', async () => {
  const places = { hubCache: temporaryFolder() }
  mkdirSync(lockOf(places.hubCache), { recursive: true })
  const stop = new AbortController()
  const told: string[] = []
  const progress = ({ task }: { readonly task: string }): void => {
    told.push(task)
    stop.abort(new Error('stopped'))
  }
  const work = whileAlone('a/b', places, testContext({ progress, signal: stop.signal }), () => Promise.resolve(7))
  await expect(work).rejects.toThrow('stopped')
  expect(told).toEqual(['waiting for another process that brings a/b'])
})
