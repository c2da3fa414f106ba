/**
 * What the compiler cannot see: layers, doors to third-party packages, names, and that nothing is left untested.
 * The rules are those of docs/architecture.md; a message names the file and the rule it breaks.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { EDITORS } from '../src/editors/index.ts'
import { ERRORS } from '../src/errors.ts'
import { PROBES } from '../src/probes/index.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Which layer a folder of `src` is; folders of the same number are blind to each other. */
const LAYERS: Readonly<Record<string, number>> = {
  tensor: 0,
  graph: 1,
  facts: 2,
  models: 2,
  editors: 3,
  probes: 3,
  evidence: 4,
  scoring: 5,
  report: 6,
  commands: 7,
}

/** Who may import a third-party package: a file, or a folder with everything in it. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  '@huggingface/hub': ['models/hub.ts'],
  '@huggingface/jinja': ['models/chat-template.ts'],
  '@inquirer/core': ['commands/'],
  '@oclif/core': ['commands/'],
  'cli-table3': ['report/'],
  'csv-parse': ['facts/build-rows.ts'],
  'fastest-levenshtein': ['suggest.ts', 'models/retrieval.ts'],
  inquirer: ['commands/support/asker.ts'],
  mathjs: ['scoring/'],
  'onnxruntime-node': ['graph/session.ts'],
  'proper-lockfile': ['evidence/', 'models/pull-lock.ts'],
  protobufjs: ['graph/', 'models/sentencepiece.ts'],
  'pure-rand': ['tensor/random.ts'],
  'simple-statistics': ['tensor/', 'scoring/'],
  'string-width': ['report/', 'commands/'],
  tokenizers: ['models/tokenizer.ts'],
  yauzl: ['models/archives.ts'],
  'write-file-atomic': ['disk.ts'],
  yaml: ['settings.ts'],
  zod: ['settings.ts', 'facts/', 'models/', 'editors/', 'evidence/', 'scoring/'],
}

/** Names that are words of their own: for these only a comparison counts as naming the editor. */
const COMMON_WORDS = ['none']
const COMPARISON = '(?:[!=]==\\s*|case\\s+|includes\\()'

/** Methods that help texts, benchmarks and tests of other things take as examples. */
const EXAMPLES = ['none', 'ft-l', 'ft-m', 'rome', 'memit', 'grace', 't-patcher', 'ike', 'serac']

/** A source file, by its path below `src` or `test`. */
interface Source {
  readonly path: string
  readonly text: string
  /** The text without comments. */
  readonly code: string
  readonly imports: readonly string[]
}

const SOURCES = readSources('src')
const TESTS = readSources('test')
const PATHS = new Set(SOURCES.map(({ path }) => path))

/**
 * Everything but documents, models, tests of steps, which may read any method's golden, and what measures another program by the
 * names of its methods.
 */
const PROGRAM_FILES = ['bench', 'bin', 'hparams', 'profiles', 'src', 'test', 'tools'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
    .filter((path) => /\.(ts|mjs|js|py|yaml)$|^test\/golden\/[^/]*\.json$/.test(path))
    .filter((path) => !path.startsWith('test/editors/steps/') && path !== 'tools/eval/reference.py')
    .sort()
    .map((path) => ({ path, text: path.endsWith('.json') ? '' : readFileSync(join(ROOT, path), 'utf8') })),
)

function readSources(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const text = readFileSync(join(ROOT, folder, path), 'utf8')
      const code = stripComments(text)
      return { path: path.replaceAll('\\', '/'), text, code, imports: findImports(code) }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Takes comments away; strings, templates and regular expressions that hold `//` or `/*` stay whole. */
function stripComments(text: string): string {
  const token =
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*|\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g
  return text.replace(token, (whole) => (whole.startsWith('/*') || whole.startsWith('//') ? ' ' : whole))
}

function findImports(code: string): string[] {
  const statement = /^(?:import|export)\b[^'"`;=]*?\bfrom\s*'([^']+)'|^import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm
  return [...code.matchAll(statement)].flatMap(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? [])
}

/** The files of ours that a file imports, as paths below `src`. */
function importedFiles({ path, imports }: Source): string[] {
  return imports
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(posix.dirname(path), specifier))
}

/** The packages a file imports, without their subpaths; Node's own modules are not packages. */
function importedPackages({ imports }: Source): string[] {
  return imports
    .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
    .map((specifier) =>
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    )
}

/** The layer of a file: root files are below all (they may use numbers, `tensor`), `index.ts` is above all. */
function layerOf(path: string): number {
  const folder = folderOf(path)
  if (folder === '') return path === 'index.ts' ? 8 : 0
  return LAYERS[folder] ?? Number.NaN
}

function folderOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : ''
}

function matches(path: string, place: string): boolean {
  return place.endsWith('/') ? path.startsWith(place) : path === place
}

describe('layers', () => {
  test('every folder of src is a layer', () => {
    expect(SOURCES.filter(({ path }) => Number.isNaN(layerOf(path))).map(({ path }) => path)).toEqual([])
  })

  test('a file imports its own folder and lower layers only', () => {
    const wrong = SOURCES.flatMap((source) =>
      importedFiles(source)
        .filter((target) => folderOf(target) !== folderOf(source.path) && folderOf(target) !== '')
        .filter(
          (target) =>
            layerOf(target) >= layerOf(source.path) && !(folderOf(source.path) === '' && layerOf(target) === 0),
        )
        .map((target) => `${source.path} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  test('imports lead to files', () => {
    const lost = SOURCES.flatMap((source) =>
      importedFiles(source)
        .filter((target) => !PATHS.has(target))
        .map((target) => `${source.path}: ${target}`),
    )
    expect(lost).toEqual([])
  })

  test('nothing imports in a circle, types included', () => {
    expect(findCycle(new Map(SOURCES.map((source) => [source.path, importedFiles(source)])))).toEqual([])
  })

  test('scoring needs stored evidence only: no model, no file', () => {
    const allowed = (target: string): boolean =>
      folderOf(target) === '' || ['tensor', 'scoring'].includes(folderOf(target)) || target === 'evidence/record.ts'
    const wrong = SOURCES.filter(({ path }) => path.startsWith('scoring/')).flatMap((source) => [
      ...importedFiles(source).filter((target) => !allowed(target)),
      ...source.imports.filter((specifier) => specifier.startsWith('node:fs')),
    ])
    expect(wrong).toEqual([])
  })
})

/** A circle of imports as a list of files, or an empty list. */
function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return []
    for (const target of graph.get(path) ?? []) {
      const cycle = visit(target, [...trail, path])
      if (cycle.length > 0) return cycle
    }
    done.add(path)
    return []
  }
  for (const path of graph.keys()) {
    const cycle = visit(path, [])
    if (cycle.length > 0) return cycle
  }
  return []
}

describe('doors', () => {
  test('each third-party package has one door', () => {
    const wrong = SOURCES.flatMap((source) =>
      importedPackages(source)
        .filter((name) => !(DOORS[name] ?? []).some((place) => matches(source.path, place)))
        .map((name) => `${source.path} imports ${name}`),
    )
    expect(wrong).toEqual([])
  })

  test('only commands touch the process and the console', () => {
    const wrong = SOURCES.filter(({ path }) => !path.startsWith('commands/'))
      .filter(
        ({ code, imports }) => /\b(?:process|console)\./.test(withoutStrings(code)) || imports.includes('node:process'),
      )
      .map(({ path }) => path)
    expect(wrong).toEqual([])
  })

  test('chance comes from seeded streams only', () => {
    expect(SOURCES.filter(({ code }) => code.includes('Math.random')).map(({ path }) => path)).toEqual([])
  })

  test('every dependency is used', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const used = new Set(SOURCES.flatMap(importedPackages))
    // A plugin is named in package.json's `oclif` section instead; Inquirer's prompts are pinned for Inquirer, because later ones refuse Node 20.
    expect(
      Object.keys(dependencies).filter(
        (name) => !used.has(name) && !name.startsWith('@oclif/plugin-') && name !== '@inquirer/prompts',
      ),
    ).toEqual([])
  })
})

function withoutStrings(code: string): string {
  return code.replace(/'(?:\\.|[^'\\\n])*'/g, "''")
}

describe('names', () => {
  const editorFiles = listFolder('src/editors', ['editor.ts', 'hparams.ts', 'index.ts'])
  const probeFiles = listFolder('src/probes', ['answer.ts', 'index.ts', 'probe.ts'])

  test('an editor has one name: registry, file, settings and test', () => {
    const names = Object.keys(EDITORS).sort()
    expect(Object.entries(EDITORS).map(([key, { name }]) => [key, name])).toEqual(
      Object.keys(EDITORS).map((key) => [key, key]),
    )
    expect(editorFiles).toEqual(names.map((name) => `${name}.ts`))
    expect(listFolder('hparams', [])).toEqual(names.map((name) => `${name}.yaml`))
    expect(names.filter((name) => !existsSync(join(ROOT, `test/editors/${name}.test.ts`)))).toEqual([])
  })

  test.each(Object.keys(EDITORS))("an editor's test declares what every editor must keep: %s", (name) => {
    const { code } = TESTS.find(({ path }) => path === `editors/${name}.test.ts`) ?? { code: '' }
    expect(code).toMatch(/^describeEditor\(/m)
    expect(code).toMatch(/^describeMemory\(/m)
  })

  test.each(Object.keys(EDITORS).filter((name) => !EXAMPLES.includes(name)))(
    'one more method touches its file, its settings, the registry and its test, and nothing else: %s',
    (name) => {
      const own = [
        `hparams/${name}.yaml`,
        `src/editors/${name}.ts`,
        'src/editors/index.ts',
        `test/editors/${name}.test.ts`,
        // What its test holds it against.
        `test/golden/${name}.json`,
        `tools/golden/${name.replaceAll('-', '_')}.py`,
      ]
      expect(filesNaming(name)).toEqual(own.sort())
    },
  )

  test('a probe has one name: registry and file', () => {
    expect(Object.entries(PROBES).map(([key, { name }]) => [key, name])).toEqual(
      Object.keys(PROBES).map((key) => [key, key]),
    )
    expect(probeFiles).toEqual(
      Object.keys(PROBES)
        .sort()
        .map((name) => `${name}.ts`),
    )
  })

  test.each([
    ['editor', 'editors', Object.keys(EDITORS)],
    // Two criteria have a probe of their name; as criteria they are everybody's words.
    ['probe', 'probes', Object.keys(PROBES).filter((name) => !['reliability', 'generalization'].includes(name))],
  ] as const)('no %s is named in a string outside its file and its registry', (_, folder, names) => {
    const wrong = names.flatMap((name) =>
      SOURCES.filter(({ path }) => path !== `${folder}/${name}.ts` && path !== `${folder}/index.ts`)
        .filter(({ code }) =>
          new RegExp(`${COMMON_WORDS.includes(name) ? COMPARISON : ''}(['"\`])${name}\\1`).test(code),
        )
        .map(({ path }) => `${path} says '${name}'`),
    )
    expect(wrong).toEqual([])
  })

  /** The files that are called by a method's name, import it, or say it in a string. */
  function filesNaming(method: string): string[] {
    const word = new RegExp(`(['"\`])(${method}|[^'"\`\\n]*/${method}\\.(ts|js|yaml|json))\\1`)
    const isCalled = (path: string): boolean =>
      posix
        .basename(path)
        .replace(/(\.test)?\.\w+$/, '')
        .replaceAll('_', '-') === method
    return PROGRAM_FILES.filter(({ path, text }) => isCalled(path) || word.test(stripComments(text))).map(
      ({ path }) => path,
    )
  }

  function listFolder(folder: string, except: readonly string[]): string[] {
    return readdirSync(join(ROOT, folder))
      .filter((name) => /\.(ts|yaml)$/.test(name) && !except.includes(name))
      .sort()
  }
})

describe('errors', () => {
  test('the table is sorted', () => {
    expect(Object.keys(ERRORS)).toEqual(Object.keys(ERRORS).sort())
  })

  test.each(Object.keys(ERRORS))('%s is raised and tested', (code) => {
    const names = (source: Source): boolean => source.code.includes(`'${code}'`)
    expect(
      SOURCES.some((source) => source.path !== 'errors.ts' && names(source)),
      `nothing raises ${code}`,
    ).toBe(true)
    expect(
      TESTS.some(({ code: text }) => text.includes(code)),
      `nothing tests ${code}`,
    ).toBe(true)
  })
})

describe('tests', () => {
  const tested = reachable(
    TESTS.flatMap(({ path, imports }) => imports.map((specifier) => posix.join('test', posix.dirname(path), specifier)))
      .filter((path) => path.startsWith('src/'))
      .map((path) => path.slice('src/'.length)),
  )

  test('a test stands where its subject stands', () => {
    const strays = TESTS.map(({ path }) => path)
      .filter((path) => path.endsWith('.test.ts') && path.includes('/'))
      .filter((path) => !existsSync(join(ROOT, 'src', posix.dirname(path))))
    expect(strays).toEqual([])
  })

  test('every source file that does something is reached by a test of its folder, or runs as a command in one', () => {
    const untested = SOURCES.filter(({ code }) =>
      /^export (?:async )?(?:function|class|const|abstract|default)/m.test(code),
    )
      .map(({ path }) => path)
      .filter((path) => !tested.has(path) && !existsSync(join(ROOT, 'test', path.replace(/\.ts$/, '.test.ts'))))
    expect(untested).toEqual([])
  })

  /** Files imported by tests, and what they use within their own folder: a folder may be tested through its face. */
  function reachable(paths: readonly string[]): ReadonlySet<string> {
    const found = new Set(paths)
    for (const path of found) {
      const source = SOURCES.find((candidate) => candidate.path === path)
      const near = source === undefined ? [] : importedFiles(source).filter((file) => folderOf(file) === folderOf(path))
      for (const file of near) found.add(file)
    }
    return found
  }
})

describe('the project', () => {
  test('every source file says what it is', () => {
    expect(SOURCES.filter(({ text }) => !text.startsWith('/**')).map(({ path }) => path)).toEqual([])
  })

  test('the lock names the binaries of every platform and no host', () => {
    const text = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
    const { packages } = JSON.parse(text)
    const missing = Object.values<{ optionalDependencies?: Record<string, string> }>(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)))
    expect(missing).toEqual([])
    expect(text).not.toContain('"resolved"')
  })

  test('dependencies are pinned', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect(
      Object.entries<string>({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d/.test(version)),
    ).toEqual([])
  })
})
