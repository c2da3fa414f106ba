import { expect, test } from 'vitest'
import { allMethods, chooseMethods } from '../../../src/commands/support/methods.ts'
import { EDITORS } from '../../../src/editors/index.ts'

test('no list means all, in the order of the registry', () => {
  expect(chooseMethods(undefined)).toEqual(Object.values(EDITORS))
  expect(allMethods()).toEqual(Object.values(EDITORS))
})

test('a list keeps its order and names each once', () => {
  expect(chooseMethods('ft-m, none,ft-m').map(({ name }) => name)).toEqual(['ft-m', 'none'])
})

test.each(['rmoe', '', 'none,', '__proto__'])('refuses "%s"', (list) => {
  expect(() => chooseMethods(list)).toThrow(expect.objectContaining({ code: 'E_METHOD' }))
})
