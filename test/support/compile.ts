/** Turns TypeScript into what a child process can run: Node reads it only from version 22 on. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Compiles a file of the project (`test/support/stub-lane.ts`) and all it imports, below `node_modules/.cache`, where the
 * packages it imports are found. Gives the path of the compiled file. `name` keeps the output of test files apart.
 */
export function compileForChild(file: string, name: string): string {
  const outDir = join(ROOT, 'node_modules/.cache/whichedit-test', name)
  mkdirSync(outDir, { recursive: true })
  // Below node_modules the project's own package.json does not count.
  writeFileSync(join(outDir, 'package.json'), '{"type": "module"}')
  const project = join(outDir, 'tsconfig.json')
  writeFileSync(
    project,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { rootDir: ROOT, outDir, declaration: false, sourceMap: false, noCheck: true },
      include: [],
      files: [join(ROOT, file)],
    }),
  )
  execFileSync('node', [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project], { stdio: 'pipe' })
  return join(outDir, dirname(file), `${file.slice(dirname(file).length + 1).replace(/\.ts$/, '.js')}`)
}
