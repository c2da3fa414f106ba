/** `doctor`: looks at everything whichedit stands on, and says what to do where something is wrong. */
import { styleText } from 'node:util'
import { printable } from '../printable.ts'
import { BaseCommand } from './support/base.ts'
import {
  type Check,
  type CheckStatus,
  checkDisk,
  checkFolder,
  checkMemory,
  checkModels,
  checkNode,
  checkPip,
  checkRuntime,
  checkTokenizers,
  type Finding,
  runChecks,
} from './support/checks.ts'
import { SCHEMA_VERSION } from './support/failure.ts'
import { modelPlaces, RUNS_FOLDER } from './support/places.ts'

const COLORS = { ok: 'green', warn: 'yellow', fail: 'red' } as const satisfies Record<CheckStatus, string>

/** Checks the installation and the machine. */
export default class Doctor extends BaseCommand {
  static override summary = 'Check the installation and the machine.'
  static override description = 'Ends with 1 where something does not work, with 0 where there are warnings only.'

  async run(): Promise<object> {
    await this.parse(Doctor)
    const findings = await runChecks(this.#checks())
    for (const { name, ...finding } of findings) this.log(this.#format(name, finding))
    const failed = findings.filter(({ status }) => status === 'fail').length
    this.log(failed === 0 ? '\nEverything that is needed works.' : `\n${failed} of ${findings.length} do not work.`)
    const result = { schemaVersion: SCHEMA_VERSION, version: this.config.version, checks: findings }
    return failed === 0 ? result : this.endWith(result, 1)
  }

  #checks(): Check[] {
    const places = modelPlaces()
    const { cacheDir, configDir } = this.config
    return [
      { name: 'whichedit', look: async () => ({ status: 'ok', found: `version ${this.config.version}` }) },
      { name: 'node', look: () => checkNode(process.versions.node) },
      { name: 'runtime', look: checkRuntime },
      { name: 'tokenizer', look: checkTokenizers },
      { name: 'pip', look: checkPip },
      { name: 'models', look: () => checkModels(places) },
      { name: 'model folder', look: () => checkFolder(places.hubCache) },
      { name: 'cache folder', look: () => checkFolder(cacheDir) },
      { name: 'config folder', look: () => checkFolder(configDir) },
      { name: 'run folder', look: () => checkFolder(RUNS_FOLDER) },
      { name: 'disk', look: () => checkDisk(cacheDir) },
      { name: 'memory', look: checkMemory },
    ]
  }

  #format(name: string, { status, found, remedy }: Finding): string {
    const mark = this.display().color ? styleText(COLORS[status], status, { validateStream: false }) : status
    const line = `${mark}${' '.repeat(6 - status.length)}${name.padEnd(15)}${printable(found)}`
    return remedy === undefined ? line : `${line}\n${' '.repeat(21)}${printable(remedy)}`
  }
}
