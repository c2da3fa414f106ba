import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Patch } from '../../src/models/patch.ts'
import { decodePatch, encodePatch } from '../../src/models/patch-file.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const numbers = (shape: readonly number[], ...values: number[]) => tensor(Float32Array.from(values), shape)

/** One part of every kind. */
const PATCH: Patch = {
  parts: [
    { kind: 'low-rank', weight: 'a.weight', left: numbers([3, 1], 1, 2, 3), right: numbers([1, 2], -4, 5) },
    { kind: 'dense', weight: 'b.weight', delta: numbers([1, 2], 0.1, -0) },
    {
      kind: 'codebook',
      layer: 3,
      keys: numbers([2, 2], 1, 2, 3, 4),
      values: numbers([2, 1], 5, 6),
      radii: numbers([2], 0, 1.5),
      labels: [[7], [8, 9]],
    },
    {
      kind: 'neurons',
      layer: 2,
      activation: 'gelu-tanh',
      input: numbers([2, 3], 1, 2, 3, 4, 5, 6),
      biases: numbers([3], 0, -1, 0.5),
      output: numbers([3, 2], 6, 5, 4, 3, 2, 1),
    },
    { kind: 'side-memories', layer: 1, deltas: numbers([2, 1, 2], 1, 2, 3, 4), thresholds: numbers([2], 0.5, 0) },
    {
      kind: 'context',
      retrieval: { by: 'cosine', vectors: { layer: 0 }, above: null },
      confirmation: { by: 'choice', candidates: 2, ask: '{facts}{question}', none: ['none'], maxNewTokens: 9 },
      entries: [
        {
          key: 'a',
          sentence: 'A is b.',
          before: 'New Fact: naïve "x" 日本 🇫🇷\n',
          after: '',
          vector: numbers([2], 1, 2),
        },
        { key: 'b', sentence: '', before: '', after: '\nAnswer:', vector: numbers([2], 3, 4) },
      ],
    },
    {
      kind: 'context',
      retrieval: { by: 'letters', below: 6 },
      confirmation: null,
      loop: { format: 'constrained', examples: 'Question: "x"\n\n', subquestions: 3, maxNewTokens: 64 },
      entries: [{ key: 'a', sentence: 'A.', before: '', after: '', vector: numbers([0]) }],
    },
    {
      kind: 'context',
      retrieval: { by: 'scope', vectors: { encoder: 'e' }, map: numbers([3, 2], 1, 2, 3, 4, 5, 6), above: 0.5 },
      confirmation: null,
      adapters: [
        { kind: 'low-rank', weight: 'a.weight', left: numbers([3, 1], 7, 8, 9), right: numbers([1, 2], -1, 0) },
      ],
      entries: [{ key: 'a', sentence: 'A.', before: 'A. ', after: '', vector: numbers([2], 0, 1) }],
    },
    {
      kind: 'adapter-clusters',
      layer: 4,
      clusters: [
        {
          centre: numbers([2], 1, 2),
          radius: 0.75,
          label: [7, 8],
          points: [{ prompt: 'A is', key: numbers([2], 1, 2), block: 0 }],
        },
      ],
      blocks: [
        [
          {
            kind: 'low-rank',
            weight: 'c.weight',
            left: numbers([4, 1], 1, 2, 3, 4),
            right: numbers([1, 5], 5, 4, 3, 2, 1),
          },
        ],
      ],
    },
  ],
  report: { lossLast: 0.1 + 0.2, entries: 2 },
}

/** The file with its header changed as text, and the length put right. */
function withHeader(change: (header: string) => string, bytes = encodePatch(PATCH)): Uint8Array {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const header = Buffer.from(change(Buffer.from(bytes.subarray(8, 8 + length)).toString()))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([size, header, bytes.subarray(8 + length)])
}

describe('a patch as one file', () => {
  test('comes back with every part, text and number', () => {
    expect(decodePatch(encodePatch(PATCH))).toEqual(PATCH)
  })

  test('of no parts is a patch too', () => {
    expect(decodePatch(encodePatch({ parts: [], report: {} }))).toEqual({ parts: [], report: {} })
  })

  test('comes back with what the next edit of its stream must know', () => {
    const patch = { ...PATCH, state: { 'keys a': numbers([2, 2], 1, 2, 3, 4), count: numbers([], 7) } }
    expect(decodePatch(encodePatch(patch))).toEqual(patch)
    expect(Object.keys(decodePatch(encodePatch(PATCH)))).not.toContain('state')
    const damaged = { ...patch, state: { mean: numbers([1], Number.NaN) } }
    expect(() => encodePatch(damaged)).toThrow(expect.objectContaining({ code: 'E_PATCH' }))
  })

  test('comes back bit for bit, from a view into a larger buffer as well', () => {
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true })
    fc.assert(
      fc.property(fc.array(finite, { maxLength: 40 }), fc.string(), (values, weight) => {
        const patch: Patch = {
          parts: [{ kind: 'dense', weight, delta: numbers([1, values.length], ...values) }],
          report: {},
        }
        const bytes = encodePatch(patch)
        const shifted = new Uint8Array(bytes.length + 3)
        shifted.set(bytes, 3)
        const [part] = decodePatch(shifted.subarray(3)).parts
        if (part?.kind !== 'dense') throw new Error('expected a dense part')
        expect(part.weight).toBe(weight)
        expect(new Uint32Array(part.delta.data.buffer)).toEqual(new Uint32Array(Float32Array.from(values).buffer))
      }),
    )
  })

  test.each([
    ['a number of a part', { parts: [{ kind: 'dense', weight: 'w', delta: numbers([1], Number.NaN) }], report: {} }],
    ['a number of the report', { parts: [], report: { loss: Number.POSITIVE_INFINITY } }],
  ] as [string, Patch][])('is not written where %s is not finite', (_, patch) => {
    expect(() => encodePatch(patch)).toThrow(expect.objectContaining({ code: 'E_PATCH' }))
  })
})

describe('a damaged or hostile file', () => {
  test('is refused wherever it is cut', () => {
    const bytes = encodePatch(PATCH)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodePatch(bytes.subarray(0, length)), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'E_PATCH' }),
      )
    }
  })

  test.each([
    ['one more byte', Buffer.concat([encodePatch(PATCH), Buffer.of(0)]), 'the end of the file, found 1 bytes more'],
    ['a huge header', Buffer.from('ffffffffffffffff7b7d', 'hex'), 'a header of at most 2 bytes'],
    ['another format', withHeader((text) => text.replace('patch@1', 'patch@2')), 'format'],
    ['an unknown kind', withHeader((text) => text.replace('low-rank', 'high-rank')), 'parts.0.kind'],
    ['an unknown key', withHeader((text) => text.replace('"layer":3', '"layer":3,"x":1')), 'parts.2'],
    ['a negative layer', withHeader((text) => text.replace('"layer":3', '"layer":-3')), 'parts.2.layer'],
    ['a negative size', withHeader((text) => text.replace('[3,1]', '[-3,1]')), 'parts.0.left.shape.0'],
    ['a fractional size', withHeader((text) => text.replace('[3,1]', '[1.5,2]')), 'parts.0.left.shape.0'],
    ['a huge tensor', withHeader((text) => text.replace('[3,1]', '[67108864,67108864]')), 'for the numbers of'],
    ['a shape of another rank', withHeader((text) => text.replace('[3,1]', '[3]')), 'parts.0.left.shape'],
    ['factors that do not meet', withHeader((text) => text.replace('[1,2]', '[2,1]')), 'a right factor of 1 rows'],
    ['an unknown retrieval', withHeader((text) => text.replace('"by":"letters"', '"by":"luck"')), 'parts.6.retrieval'],
    ['no candidates', withHeader((text) => text.replace('"candidates":2', '"candidates":0')), 'parts.5.confirmation'],
    ['a label too few', withHeader((text) => text.replace('[7],', '')), 'as many keys as values, radii and labels'],
    ['an unknown activation', withHeader((text) => text.replace('gelu-tanh', 'tanh')), 'parts.3.activation'],
    ['a bias too many', withHeader((text) => text.replace('[2,3]', '[3,2]')), 'as many biases as columns'],
    [
      'an output of another width',
      withHeader((text) => text.replace('"shape":[2,3]', '"shape":[1,3]').replace('"shape":[3,2]', '"shape":[3,3]')),
      'of one width',
    ],
    ['a threshold too many', withHeader((text) => text.replace('[2,1,2]', '[1,2,2]')), 'one a memory'],
    [
      'adapters that do not meet',
      withHeader((text) => text.replace(/("adapters".*?)\[3,1\](.*?)\[1,2\]/, '$1[1,3]$2[1,2]')),
      'a right factor of 3 rows for a.weight',
    ],
    [
      'a place that is not on its map',
      withHeader((text) => text.replace('"map":{"shape":[3,2]}', '"map":{"shape":[2,3]}')),
      'vectors of one length',
    ],
    [
      'a cluster without points',
      withHeader((text) => text.replace(/"points":\[\{.*?\}\]/, '"points":[]')),
      'parts.8.clusters.0.points',
    ],
    [
      'a negative radius',
      withHeader((text) => text.replace('"radius":0.75', '"radius":-1')),
      'parts.8.clusters.0.radius',
    ],
    [
      'a point of no block',
      withHeader((text) => text.replace('"block":0', '"block":1')),
      'points of 1 blocks, found block 1',
    ],
    [
      'a key of another length',
      withHeader((text) => text.replace('"centre":{"shape":[2]}', '"centre":{"shape":[3]}').replace('[1,5]', '[1,4]')),
      'keys of one length',
    ],
    [
      'a block whose factors do not meet',
      withHeader((text) => text.replace('[4,1]', '[2,2]')),
      'a right factor of 2 rows for c.weight',
    ],
    ['text for a number', withHeader((text) => text.replace('"entries":2}', '"entries":"2"}')), 'report.entries'],
  ])('is refused: %s', (_, bytes, says) => {
    expect(() => decodePatch(bytes)).toThrow(expect.objectContaining({ code: 'E_PATCH', exit: 2 }))
    expect(() => decodePatch(bytes)).toThrow(says)
  })

  test.each([
    ['infinity', 0x7f800000, 'finite numbers, found Infinity'],
    ['not a number', 0x7fc00000, 'finite numbers, found NaN'],
    ['a negative radius', 0xbf800000, 'radii of at least 0'],
  ])('is refused for %s among its numbers', (_, bits, says) => {
    const bytes = Buffer.from(encodePatch({ parts: PATCH.parts.slice(2, 3), report: {} }))
    bytes.writeUInt32LE(bits, bytes.length - 4)
    expect(() => decodePatch(bytes)).toThrow(says)
  })

  test('is refused where its header is not JSON or names something twice', () => {
    for (const change of [() => '{', () => '{"format":1,"format":1}', () => '[]', () => '\ud800']) {
      expect(() => decodePatch(withHeader(change))).toThrow(expect.objectContaining({ code: 'E_JSON' }))
    }
  })

  test('does not put control characters into a message', () => {
    const bytes = withHeader((text) => text.replace('"kind":"dense"', '"kind":"dense","\\u001b[31m":1'))
    expect(() => decodePatch(bytes)).toThrow('parts.1')
    expect(() => decodePatch(bytes)).not.toThrow('\u001b')
  })
})
